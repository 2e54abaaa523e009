// SPDX-License-Identifier: Apache-2.0

// Rust: hyper's server and client on tokio's runtime with two worker threads.
use std::cell::Cell;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::client::HttpConnector;
use hyper::header::HeaderValue;
use hyper::service::{make_service_fn, service_fn};
use hyper::{Body, Client, Request, Response, Server};
use tokio::sync::{mpsc, oneshot, Semaphore};

const A: usize = 0;
const B: usize = 1;
const C: usize = 2;
const PATHS: [&str; 3] = ["/stock", "/reviews", "/price"];

type Job = Pin<Box<dyn Future<Output = ()> + Send>>;

struct Shop {
    client: Client<HttpConnector>,
    backends: Vec<String>,
    slots: Vec<Semaphore>,
    jobs: mpsc::UnboundedSender<Job>,
}

struct Calls {
    shop: Arc<Shop>,
    token: String,
    truth: HeaderValue,
}

impl Calls {
    async fn call(&self, which: usize) {
        let _slot = self.shop.slots[which].acquire().await.unwrap();
        let id = if self.token.is_empty() || which == C { String::new() } else { format!("/{}", self.token) };
        let uri = format!("http://127.0.0.1:{}{}{}", self.shop.backends[which], PATHS[which], id);
        let request = Request::get(uri).header("x-truth-id", self.truth.clone()).body(Body::empty()).unwrap();
        let response = self.shop.client.request(request).await.unwrap();
        hyper::body::to_bytes(response.into_body()).await.unwrap();
    }
}

thread_local!(static STATE: Cell<u64> = Cell::new(seed()));

fn seed() -> u64 {
    env_number("SEED") as u64 | 1
}

fn random() -> f64 {
    STATE.with(|state| {
        let mut x = state.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        state.set(x);
        (x >> 11) as f64 / (1u64 << 53) as f64
    })
}

async fn pause(low: f64, high: f64) {
    let ms = low + random() * (high - low);
    tokio::time::sleep(Duration::from_nanos((ms * 1e6) as u64)).await;
}

fn work(ms: f64) {
    let end = Instant::now() + Duration::from_nanos((ms * 1e6) as u64);
    while Instant::now() < end {}
}

async fn route(name: String, calls: Calls) {
    match name.as_str() {
        "r1" => {
            calls.call(A).await;
            tokio::join!(calls.call(B), calls.call(C));
        }
        "r2" => {
            calls.call(A).await;
            calls.call(B).await;
            calls.call(C).await;
        }
        "r3" => {
            pause(1.0, 6.0).await;
            calls.call(B).await;
            pause(0.0, 5.0).await;
            calls.call(C).await;
        }
        "r4" => pause(0.0, 3.0).await,
        "r5" => {
            // Tasks of their own, so that any worker may make them.
            let calls = Arc::new(calls);
            let tasks: Vec<_> = (0..3).map(|_| { let calls = calls.clone(); tokio::spawn(async move { calls.call(B).await }) }).collect();
            for task in tasks {
                task.await.unwrap();
            }
        }
        "r6" => {
            calls.call(A).await;
            if random() < 0.5 {
                calls.call(C).await;
            }
            pause(1.0, 3.0).await;
        }
        "r7" => {
            work(1.0);
            calls.call(B).await;
            work(0.5);
            calls.call(C).await;
        }
        "r8" => {
            let (done, finished) = oneshot::channel();
            let jobs = calls.shop.jobs.clone();
            let job: Job = Box::pin(async move {
                calls.call(A).await;
                calls.call(B).await;
                done.send(()).unwrap();
            });
            jobs.send(job).ok().unwrap();
            finished.await.unwrap();
        }
        _ => panic!("no such route"),
    }
}

async fn serve(request: Request<Body>, shop: Arc<Shop>) -> Result<Response<Body>, Infallible> {
    let mut parts = request.uri().path().split('/').skip(1);
    let name = parts.next().unwrap_or("").to_string();
    let token = parts.next().unwrap_or("").to_string();
    let truth = request.headers()["x-truth-id"].clone();
    route(name, Calls { shop, token, truth }).await;
    Ok(Response::new(Body::from("done")))
}

fn env_number(name: &str) -> usize {
    std::env::var(name).unwrap().parse().unwrap()
}

// r8: four workers, each busy with one job at a time.
fn start_workers(jobs: mpsc::UnboundedReceiver<Job>) {
    let jobs = Arc::new(tokio::sync::Mutex::new(jobs));
    for _ in 0..4 {
        let jobs = jobs.clone();
        tokio::spawn(async move {
            loop {
                let job = jobs.lock().await.recv().await;
                match job {
                    Some(job) => job.await,
                    None => return,
                }
            }
        });
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let pool = env_number("POOL");
    let (jobs, queue) = mpsc::unbounded_channel();
    start_workers(queue);
    let shop = Arc::new(Shop {
        client: Client::new(),
        backends: std::env::var("BACKENDS").unwrap().split(',').map(String::from).collect(),
        slots: (0..3).map(|_| Semaphore::new(if pool > 0 { pool } else { 1 << 20 })).collect(),
        jobs,
    });
    let address = ([127, 0, 0, 1], env_number("LISTEN_PORT") as u16).into();
    let service = make_service_fn(move |_| {
        let shop = shop.clone();
        async move { Ok::<_, Infallible>(service_fn(move |request| serve(request, shop.clone()))) }
    });
    Server::bind(&address).tcp_nodelay(true).serve(service).await.unwrap();
}
