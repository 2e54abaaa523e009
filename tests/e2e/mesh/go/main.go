// SPDX-License-Identifier: Apache-2.0

// A service in Go: net/http's server and client. ../README.md says what a service does.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math/rand"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

type call struct {
	port int
	path string
}

func (c *call) UnmarshalJSON(text []byte) error {
	return json.Unmarshal(text, &[]interface{}{&c.port, &c.path})
}

type entry struct {
	Traceparent string   `json:"traceparent"`
	Calls       [][3]int `json:"calls"`
}

var (
	routes map[string][][]call
	delay  float64
	client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}}
	lock   sync.Mutex
	uses   = map[[2]int]int{} // destination, port of a connection -> requests sent on it
	done   []entry
)

func (c call) do(r *http.Request, token string, made *entry) {
	request, err := http.NewRequestWithContext(r.Context(), "GET", fmt.Sprintf("http://127.0.0.1:%d%s%s", c.port, c.path, token), nil)
	if err != nil {
		panic(err)
	}
	note := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		local := info.Conn.LocalAddr().(*net.TCPAddr).Port
		lock.Lock()
		defer lock.Unlock()
		key := [2]int{c.port, local}
		made.Calls = append(made.Calls, [3]int{c.port, local, uses[key]})
		uses[key]++
	}}
	response, err := client.Do(request.WithContext(httptrace.WithClientTrace(r.Context(), note)))
	if err != nil {
		panic(err)
	}
	io.Copy(io.Discard, response.Body)
	response.Body.Close()
}

func serve(w http.ResponseWriter, r *http.Request) {
	part := strings.SplitN(r.URL.Path, "/", 3)
	token := ""
	if len(part) > 2 {
		token = "/" + part[2]
	}
	made := entry{r.Header.Get("traceparent"), [][3]int{}}
	for _, step := range routes[part[1]] {
		if len(step) == 1 {
			step[0].do(r, token, &made)
			continue
		}
		var group sync.WaitGroup
		for _, one := range step {
			group.Add(1)
			go func(one call) { one.do(r, token, &made); group.Done() }(one)
		}
		group.Wait()
	}
	if delay > 0 {
		time.Sleep(time.Duration(rand.ExpFloat64() * delay * 1e6))
	}
	lock.Lock()
	done = append(done, made)
	lock.Unlock()
	w.Write([]byte("done"))
}

func atEnd(signals chan os.Signal) {
	<-signals
	lock.Lock()
	file, err := os.Create(os.Getenv("CALL_LOG"))
	if err != nil {
		log.Fatal(err)
	}
	for _, made := range done {
		json.NewEncoder(file).Encode(made)
	}
	os.Exit(0)
}

func main() {
	if err := json.Unmarshal([]byte(os.Getenv("ROUTES")), &routes); err != nil {
		log.Fatal(err)
	}
	delay, _ = strconv.ParseFloat(os.Getenv("DELAY_MS"), 64)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	go atEnd(signals)
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("LISTEN_PORT"), http.HandlerFunc(serve)))
}
