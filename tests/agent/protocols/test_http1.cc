// SPDX-License-Identifier: Apache-2.0
//
// HTTP/1: the cases of the parser suite.
#include <catch2/catch.hpp>

#include "tests/agent/protocols/parser_suite.h"

namespace spantap {
namespace {

using Request = MessageContext::Request;

const WireProtocol& Http1() {
  Verdict verdict;
  const WireProtocol* protocol = InferProtocol("GET / HTTP/1.1\r\n", false, &verdict);
  REQUIRE(protocol != nullptr);
  return *protocol;
}

const ParserCase kRequests[] = {
    {__LINE__, "plain", true, Wire(R"(
GET /a?b=c HTTP/1.1
Host: h
hOsT2:   spaced  

)"),
     Expected(R"(
begin 0
head GET /a?b=c HTTP/1.1
  Host=h
  hOsT2=spaced
end 51 body 0 exact
)")},
    {__LINE__, "body by length", true, Wire(R"(
POST / HTTP/1.0
Content-Length: 5

hello\|
)"),
     Expected(R"(
begin 0
head POST / HTTP/1.0
  Content-Length=5
end 43 body 5 exact
)")},
    {__LINE__, "chunked with extension and trailer", true, Wire(R"(
PUT /up HTTP/1.1
Transfer-Encoding: chunked

5;name=value
hello
1
!
0
X-Trailer: t

)"),
     Expected(R"(
begin 0
head PUT /up HTTP/1.1
  Transfer-Encoding=chunked
end 94 body 6 exact
)")},
    {__LINE__, "a method nobody knows", true, Wire(R"(
X-P.url!E *  HTTP/1.1
A:

)"),
     Expected(R"(
begin 0
head X-P.url!E * HTTP/1.1
  A=
end 29 body 0 exact
)")},
    {__LINE__, "absolute target, folded value, empty values", true, Wire(R"(
OPTIONS http://h:80/x HTTP/1.1
A: one
 two
	three  
B:
C: 

)"),
     Expected(R"(
begin 0
head OPTIONS http://h:80/x HTTP/1.1
  A=one two three
  B=
  C=
end 67 body 0 exact
)")},
    {__LINE__, "CONNECT has no body and may be refused", true, Wire(R"(
CONNECT h:443 HTTP/1.1
Host: h:443
Content-Length: 7

)"),
     Expected(R"(
begin 0
head CONNECT h:443 HTTP/1.1
  Host=h:443
  Content-Length=7
end 58 body 0 exact
)")},
    {__LINE__, "upgrade that may be refused", true, Wire(R"(
GET /chat HTTP/1.1
Connection: Upgrade
Upgrade: websocket

)"),
     Expected(R"(
begin 0
head GET /chat HTTP/1.1
  Connection=Upgrade
  Upgrade=websocket
end 63 body 0 exact
)")},
    {__LINE__, "both lengths: chunked wins", true, Wire(R"(
POST /x HTTP/1.1
Content-Length: 3
Transfer-Encoding: chunked

2
ab
0

)"),
     Expected(R"(
begin 0
head POST /x HTTP/1.1
  Content-Length=3
  Transfer-Encoding=chunked
end 79 body 2 exact
)")},
    {__LINE__, "empty lines before", true, Wire(R"(

GET / HTTP/1.1

)"),
     Expected(R"(
begin 2
head GET / HTTP/1.1
end 20 body 0 exact
)")},
};

const ParserCase kResponses[] = {
    {__LINE__, "plain", false, Wire(R"(
HTTP/1.1 404 Not Found at all
Content-Length: 2
Server:x

no\|
)"),
     Expected(R"(
begin 0
head 404 HTTP/1.1
  Content-Length=2
  Server=x
end 64 body 2 exact
)")},
    {__LINE__, "no reason phrase, no body", false, Wire(R"(
HTTP/1.1 204

)"),
     Expected(R"(
begin 0
head 204 HTTP/1.1
end 16 body 0 exact
)")},
    {__LINE__, "304 keeps its length header and has no body", false, Wire(R"(
HTTP/1.1 304 Not Modified
Content-Length: 1000

)"),
     Expected(R"(
begin 0
head 304 HTTP/1.1
  Content-Length=1000
end 51 body 0 exact
)")},
    {__LINE__, "to HEAD", false, Wire(R"(
HTTP/1.1 200 OK
Content-Length: 1000

)"),
     Expected(R"(
begin 0
head 200 HTTP/1.1
  Content-Length=1000
end 41 body 0 exact
)"),
     Request::kHead},
    {__LINE__, "informational before the final one", false, Wire(R"(
HTTP/1.1 100 Continue

HTTP/1.1 103 Early Hints
Link: </s>

HTTP/1.1 200 OK
Transfer-Encoding: gzip, chunked

3
abc
0

)"),
     Expected(R"(
begin 0
head 100 HTTP/1.1
end 25 body 0 exact
begin 25
head 103 HTTP/1.1
  Link=</s>
end 65 body 0 exact
begin 65
head 200 HTTP/1.1
  Transfer-Encoding=gzip, chunked
end 131 body 3 exact
)")},
    {__LINE__, "until close", false, Wire(R"(
HTTP/1.0 200 OK

all that comes)"),
     Expected(R"(
begin 0
head 200 HTTP/1.0
end 33 body 14 at-close
)"),
     Request::kOrdinary, false},
    {__LINE__, "another coding ends at close", false, Wire(R"(
HTTP/1.1 200 OK
Transfer-Encoding: gzip

xyz)"),
     Expected(R"(
begin 0
head 200 HTTP/1.1
  Transfer-Encoding=gzip
end 47 body 3 at-close
)"),
     Request::kOrdinary, false},
    {__LINE__, "switching protocols", false, Wire(R"(
HTTP/1.1 101 Switching Protocols
Upgrade: websocket
Connection: upgrade

GET /not-http HTTP/1.1)"),
     Expected(R"(
begin 0
head 101 HTTP/1.1
  Upgrade=websocket
  Connection=upgrade
end 77 body 0 exact
opaque upgrade
)"),
     Request::kOrdinary, false},
    {__LINE__, "tunnel", false, Wire(R"(
HTTP/1.1 200 Connection established
Content-Length: 9

anything)"),
     Expected(R"(
begin 0
head 200 HTTP/1.1
  Content-Length=9
end 58 body 0 exact
opaque connect
)"),
     Request::kConnect, false},
    {__LINE__, "tunnel refused", false, Wire(R"(
HTTP/1.1 403 Forbidden
Content-Length: 2

no\|
)"),
     Expected(R"(
begin 0
head 403 HTTP/1.1
  Content-Length=2
end 47 body 2 exact
)"),
     Request::kConnect},
    {__LINE__, "high bytes in a value and in the reason", false,
     "HTTP/1.1 500 \xe9\xff\r\nX: \xc3\xa9\x80\r\nContent-Length: 0\r\n\r\n",
     "begin 0\nhead 500 HTTP/1.1\n  X=\xc3\xa9\x80\n  Content-Length=0\nend 46 body 0 exact\n"},
};

TEST_CASE("http1: requests", "[parser]") {
  for (const ParserCase& c : kRequests) RunParserSuite(Http1(), c);
}

TEST_CASE("http1: responses", "[parser]") {
  for (const ParserCase& c : kResponses) RunParserSuite(Http1(), c);
}

}  // namespace
}  // namespace spantap
