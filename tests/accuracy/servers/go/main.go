// SPDX-License-Identifier: Apache-2.0

// Go: net/http's server and client.
package main

import (
	"io"
	"log"
	"math/rand"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

const a, b, c = 0, 1, 2

var (
	backends  = strings.Split(os.Getenv("BACKENDS"), ",")
	paths     = []string{"/stock", "/reviews", "/price"}
	transport = &http.Transport{MaxIdleConnsPerHost: 256}
	client    = &http.Client{Transport: transport}
	jobs      = make(chan func(), 1024)
)

type calls struct {
	request *http.Request
	token   string
}

func (s calls) do(which int) {
	url := "http://127.0.0.1:" + backends[which] + paths[which]
	if s.token != "" && which != c {
		url += "/" + s.token
	}
	request, err := http.NewRequestWithContext(s.request.Context(), "GET", url, nil)
	if err != nil {
		panic(err)
	}
	request.Header.Set("x-truth-id", s.request.Header.Get("x-truth-id"))
	response, err := client.Do(request)
	if err != nil {
		panic(err)
	}
	io.Copy(io.Discard, response.Body)
	response.Body.Close()
}

func (s calls) together(all ...int) {
	var group sync.WaitGroup
	for _, which := range all {
		group.Add(1)
		go func(which int) { s.do(which); group.Done() }(which)
	}
	group.Wait()
}

// r8: the calls are made by one of four workers, which take jobs from a channel.
func (s calls) queued(all ...int) {
	done := make(chan bool)
	jobs <- func() {
		for _, which := range all {
			s.do(which)
		}
		done <- true
	}
	<-done
}

func sleep(low, high float64) { time.Sleep(time.Duration((low + rand.Float64()*(high-low)) * 1e6)) }

func work(ms float64) {
	for end := time.Now().Add(time.Duration(ms * 1e6)); time.Now().Before(end); {
	}
}

func serve(w http.ResponseWriter, r *http.Request) {
	part := append(strings.Split(r.URL.Path, "/"), "")
	s := calls{r, part[2]}
	switch part[1] {
	case "r1":
		s.do(a)
		s.together(b, c)
	case "r2":
		s.do(a)
		s.do(b)
		s.do(c)
	case "r3":
		sleep(1, 6)
		s.do(b)
		sleep(0, 5)
		s.do(c)
	case "r4":
		sleep(0, 3)
	case "r5":
		s.together(b, b, b)
	case "r6":
		s.do(a)
		if rand.Float64() < .5 {
			s.do(c)
		}
		sleep(1, 3)
	case "r7":
		work(1)
		s.do(b)
		work(0.5)
		s.do(c)
	case "r8":
		s.queued(a, b)
	}
	w.Write([]byte("done"))
}

func main() {
	if pool, _ := strconv.Atoi(os.Getenv("POOL")); pool > 0 {
		transport.MaxConnsPerHost = pool
	}
	seed, _ := strconv.ParseInt(os.Getenv("SEED"), 10, 64)
	rand.Seed(seed)
	for i := 0; i < 4; i++ {
		go func() {
			for job := range jobs {
				job()
			}
		}()
	}
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("LISTEN_PORT"), http.HandlerFunc(serve)))
}
