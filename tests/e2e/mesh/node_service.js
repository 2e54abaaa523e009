// SPDX-License-Identifier: Apache-2.0
// A service in Node: http and http.Agent. README.md says what a service does.
'use strict';
const fs = require('fs');
const http = require('http');

const routes = JSON.parse(process.env.ROUTES);
const delay = Number(process.env.DELAY_MS);
const agent = new http.Agent({keepAlive: true, maxFreeSockets: 256});
const uses = new Map();  // port of a connection -> requests sent on it
const log = [];

function call([port, path], token, calls) {
  return new Promise((done, failed) => {
    http.get({host: '127.0.0.1', port, path: path + token, agent}, response => {
      const local = response.socket.localPort;
      const key = `${port} ${local}`;
      const number = uses.get(key) || 0;
      uses.set(key, number + 1);
      calls.push([port, local, number]);
      response.resume();
      response.on('end', done);
    }).on('error', failed);
  });
}

async function serve(request, response) {
  const [, name, id] = request.url.split('/');
  const calls = [];
  for (const step of routes[name]) await Promise.all(step.map(one => call(one, id ? '/' + id : '', calls)));
  if (delay) await new Promise(done => setTimeout(done, -Math.log(1 - Math.random()) * delay));
  log.push(JSON.stringify({traceparent: request.headers.traceparent, calls}));
  response.setHeader('content-length', 4);
  response.end('done');
}

http.createServer((request, response) => {
  serve(request, response).catch(error => {
    response.statusCode = 500;
    response.end(String(error));
  });
}).listen(Number(process.env.LISTEN_PORT), '127.0.0.1', 1024);

process.on('SIGTERM', () => {
  fs.writeFileSync(process.env.CALL_LOG, log.join('\n'));
  process.exit(0);
});
