// SPDX-License-Identifier: Apache-2.0
// Node: http server, http.Agent with keep-alive. WORKERS=n: a cluster of n processes that share the port.
'use strict';
const http = require('http');
const cluster = require('cluster');

const backends = process.env.BACKENDS.split(',').map(Number);
const paths = ['/stock', '/reviews', '/price'];
const pool = Number(process.env.POOL) || 1024;
const agent = new http.Agent({keepAlive: true, maxSockets: pool, maxFreeSockets: 1024});

let state = Number(process.env.SEED) >>> 0;
function random() {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return state / 4294967296;
}

const sleep = (low, high) => new Promise(done => setTimeout(done, low + random() * (high - low)));
function work(ms) {
  const end = process.hrtime.bigint() + BigInt(ms * 1e6);
  while (process.hrtime.bigint() < end);
}

// r8: jobs wait here for one of four workers, which is busy with one at a time.
const jobs = [];
const idle = [];
const submit = job => new Promise((done, failed) => {
  jobs.push({job, done, failed});
  if (idle.length) idle.shift()();
});
async function worker() {
  for (;;) {
    while (!jobs.length) await new Promise(wake => idle.push(wake));
    const {job, done, failed} = jobs.shift();
    await job().then(done, failed);
  }
}

function caller(id, truth) {
  return which => new Promise((done, failed) => {
    const path = paths[which] + (id && which !== 2 ? '/' + id : '');
    http.get({host: '127.0.0.1', port: backends[which], path, agent, headers: {'x-truth-id': truth}}, response => {
      response.resume();
      response.on('end', done);
    }).on('error', failed);
  });
}

const [A, B, C] = [0, 1, 2];
const routes = {
  async r1(call) { await call(A); await Promise.all([call(B), call(C)]); },
  async r2(call) { await call(A); await call(B); await call(C); },
  async r3(call) { await sleep(1, 6); await call(B); await sleep(0, 5); await call(C); },
  async r4() { await sleep(0, 3); },
  async r5(call) { await Promise.all([call(B), call(B), call(B)]); },
  async r6(call) { await call(A); if (random() < 0.5) await call(C); await sleep(1, 3); },
  async r7(call) { work(1); await call(B); work(0.5); await call(C); },
  r8: call => submit(async () => { await call(A); await call(B); }),
};

function serve() {
  for (let i = 0; i < 4; i++) worker();
  http.createServer(async (request, response) => {
    const [, route, id] = request.url.split('/');
    try {
      await routes[route](caller(id, request.headers['x-truth-id']));
      response.end('done');
    } catch (error) {
      response.statusCode = 500;
      response.end(String(error));
    }
  }).listen(Number(process.env.LISTEN_PORT), '127.0.0.1', 1024);
}

const workers = Number(process.env.WORKERS) || 0;
if (workers && cluster.isPrimary) {
  for (let i = 0; i < workers; i++) cluster.fork({SEED: state + i});
} else {
  serve();
}
