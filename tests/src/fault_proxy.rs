//! A proxy that does to answers what networks and broken servers do.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What the proxy does to each answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// Hangs up without an answer.
    Down,
    /// Never answers.
    Silent,
    /// Answers 500.
    ServerError,
    /// Answers 200 with something else.
    Garbage,
    /// Hangs up in the middle of the answer.
    Truncated,
    /// Answers with one text in place of another of the same length.
    Replaced(String, String),
}

/// Stands between a reader and a log.
#[derive(Debug)]
pub struct FaultProxy {
    address: std::net::SocketAddr,
    upstream: Arc<Mutex<String>>,
    fault: Arc<Mutex<Fault>>,
    task: JoinHandle<()>,
}

impl FaultProxy {
    /// In front of `upstream`, an address such as `127.0.0.1:8080`.
    pub async fn start(upstream: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let fault = Arc::new(Mutex::new(Fault::None));
        let upstream = Arc::new(Mutex::new(upstream));
        let (current, leads_to) = (Arc::clone(&fault), Arc::clone(&upstream));
        let task = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let (upstream, fault) = (leads_to.lock().unwrap().clone(), Arc::clone(&current));
                // What breaks one connection is the client's to deal with.
                tokio::spawn(async move { answer(client, &upstream, &fault).await.ok() });
            }
        });
        Self {
            address,
            upstream,
            fault,
            task,
        }
    }

    /// Where it stands.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on, requests go to another upstream.
    pub fn lead_to(&self, upstream: std::net::SocketAddr) {
        *self.upstream.lock().unwrap() = upstream.to_string();
    }

    /// From now on, this happens to answers.
    pub fn set(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Reads one request, and answers it, or not.
async fn answer(
    mut client: TcpStream,
    upstream: &str,
    fault: &Mutex<Fault>,
) -> std::io::Result<()> {
    let head = read_head(&mut client).await?;
    let answer = fetch(upstream, &head).await?;
    // As it is when the answer is there: a long poll may have begun before the fault.
    let fault = fault.lock().unwrap().clone();
    match fault {
        Fault::None => client.write_all(&answer).await,
        Fault::Down => Ok(()),
        Fault::Silent => std::future::pending().await,
        Fault::ServerError => client.write_all(b"HTTP/1.1 500 Oh\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno").await,
        Fault::Garbage => {
            client.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 17\r\nconnection: close\r\n\r\n{\"hello\":\"world\"}").await
        }
        Fault::Truncated => client.write_all(&answer[..answer.len() * 2 / 3]).await,
        Fault::Replaced(from, to) => {
            let text = String::from_utf8_lossy(&answer).replace(&from, &to);
            client.write_all(text.as_bytes()).await
        }
    }
}

/// A request without a body.
async fn read_head(client: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await?);
    }
    Ok(head)
}

/// The whole answer to a request, on a connection that ends with it.
async fn fetch(upstream: &str, head: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut server = TcpStream::connect(upstream).await?;
    let head = String::from_utf8_lossy(head).replacen("\r\n", "\r\nconnection: close\r\n", 1);
    server.write_all(head.as_bytes()).await?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).await?;
    Ok(answer)
}
