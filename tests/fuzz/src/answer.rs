//! What a reader gets from a log that may be anybody's: pages, descriptions, problems, compressed or not.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::header::{CONNECTION, CONTENT_LENGTH, HeaderName, TRANSFER_ENCODING};
use axum::http::{Request, StatusCode};
use boxes_http::{
    NotificationLogOptions, NotificationLogResource, RemoteNotificationLog, RemoteOptions,
};
use boxes_notification_log::{
    LogDescription, LogError, NotificationLog, Section, SectionId, SectionLink,
};
use boxes_recorder::Position;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tower::ServiceExt;
use url::Url;
use uuid::Uuid;

use crate::message::Message;

pub(crate) const WORDS: &[&str] = &[
    "current ",
    "section ",
    "after ",
    "describe ",
    "200\n",
    "304\n",
    "302\n",
    "404\n",
    "409\n",
    "410\n",
    "503\n",
    "content-type: application/json\n",
    "content-encoding: ",
    "gzip",
    "br",
    "zstd",
    "etag: \"x\"\n",
    "retry-after: 7\n",
    "link: </orders/notifications/6,10>; rel=next\n",
    "link: <http://127.0.0.1:9/>; rel=\"prev\"\n",
    "location: /\n",
    "location: http://127.0.0.1:9/\n",
    "\"id\":\"1,5\"",
    "\"previous_id\":null",
    "\"next_id\":\"6,10\"",
    "\"archived\":true",
    "\"page_size\":5",
    "\"last\":",
    "\"items\":[",
    "\"state\":",
    "\"content_encoding\":\"json+zlib\"",
    "\"metadata\":{}",
    "\"links\":{\"next\":\"",
    "\"occurred_on\":\"2026-11-23T15:00:00.123456Z\"",
    "\"type\":\"/problems/",
    "\"first_available\":",
    "\"uri_template\":\"",
    "{low}",
    "{high}",
];

/// No answer is larger than this, however small it comes.
const MAX_BODY_BYTES: usize = 64 * 1_024;

struct Reader {
    runtime: Runtime,
    address: SocketAddr,
    /// What is answered, whatever is asked.
    answer: Arc<Mutex<Vec<u8>>>,
}

thread_local! {
    static READER: Reader = start();
}

fn start() -> Reader {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let answer = Arc::<Mutex<Vec<u8>>>::default();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let said = Arc::clone(&answer);
    runtime.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(converse(stream, Arc::clone(&said)));
        }
    });
    Reader {
        runtime,
        address,
        answer,
    }
}

/// Answers each request on a connection with what is to be answered.
async fn converse(mut stream: TcpStream, answer: Arc<Mutex<Vec<u8>>>) {
    let mut request = Vec::new();
    while let Ok(1..) = stream.read_buf(&mut request).await {
        if request.ends_with(b"\r\n\r\n") {
            request.clear();
            let answer = answer.lock().unwrap().clone();
            if stream.write_all(&answer).await.is_err() {
                return;
            }
        }
    }
}

/// `what status`, headers, and a body: what is asked, and what comes. It is a section that is whole, or an error.
pub(crate) fn run(data: &[u8]) {
    let Some(message) = Message::parse(data) else {
        return;
    };
    let [what, status] = message.first[..] else {
        return;
    };
    let Some(status) = status
        .parse()
        .ok()
        .filter(|status| (200..600).contains(status))
    else {
        return;
    };
    READER.with(|reader| {
        reader.say(status, &message);
        reader.runtime.block_on(reader.ask(what));
    });
}

impl Reader {
    fn say(&self, status: u16, message: &Message<'_>) {
        let mut answer = format!("HTTP/1.1 {status} Said\r\n").into_bytes();
        let framing = [
            CONTENT_LENGTH,
            TRANSFER_ENCODING,
            CONNECTION,
            HeaderName::from_static("upgrade"),
        ];
        let headers = message
            .headers
            .iter()
            .filter(|(name, _)| !framing.contains(*name));
        for (name, value) in headers {
            answer.extend_from_slice(format!("{name}: ").as_bytes());
            answer.extend_from_slice(value.as_bytes());
            answer.extend_from_slice(b"\r\n");
        }
        let has_body = !matches!(status, 204 | 304);
        let body = if has_body { message.body } else { &[] };
        answer.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
        answer.extend_from_slice(body);
        *self.answer.lock().unwrap() = answer;
    }

    fn log(&self) -> RemoteNotificationLog {
        let url = format!("http://{}/orders/notifications", self.address);
        let options = RemoteOptions {
            max_body_bytes: MAX_BODY_BYTES,
            ..RemoteOptions::default()
        };
        RemoteNotificationLog::new(Url::parse(&url).unwrap(), options).unwrap()
    }

    async fn ask(&self, what: &str) {
        let log = self.log();
        let first: SectionId = "1,5".parse().unwrap();
        let position = Position::new(
            Uuid::from_u128(0x5b0c_0000_0000_4000_8000_0000_0000_0001),
            3,
        );
        let read = match what {
            "current" => log.current().await,
            "section" => log.section(&first.into()).await,
            "after" => log.section_after(&first.into(), position).await,
            "describe" => {
                if log.describe().await.is_ok() {
                    // Its template leads somewhere at that origin, or nowhere.
                    drop(log.section(&first.into()).await);
                }
                return;
            }
            _ => return,
        };
        let Ok(section) = read else { return };
        section.check().expect("what is read is whole");
        if what != "current" {
            assert_eq!(section.id, first);
        }
        self.passes_on(section).await;
    }

    /// A page that is made of what was read is read as the same.
    async fn passes_on(&self, mut section: Section) {
        for link in [&mut section.previous, &mut section.next]
            .into_iter()
            .flatten()
        {
            link.href = None;
        }
        // A page has whole microseconds, as stores do; and only what says that it is JSON goes in as such.
        let is_kept = section.items.iter().all(|item| {
            let event = &item.event;
            let micros = event.occurred_on.as_nanosecond() % 1_000 == 0;
            let json = serde_json::from_slice::<serde::de::IgnoredAny>(&event.state).is_ok();
            micros && (json || !event.encoding.is_plain_json())
        });
        if !is_kept {
            return;
        }
        let id = section.id;
        let body = page(Fixed(section.clone())).await;
        let head = b"section 200\ncontent-type: application/json\n\n";
        let input = [head, &body[..]].concat();
        self.say(200, &Message::parse(&input).unwrap());
        let mut again = self.log().section(&id.into()).await.expect("it is a page");
        for link in [&mut again.previous, &mut again.next].into_iter().flatten() {
            link.href = None;
        }
        assert_eq!(again, section);
    }
}

/// The page that a server makes of the log.
async fn page(log: Fixed) -> Vec<u8> {
    let path = format!("/orders/notifications/{}", log.0.id);
    let options = NotificationLogOptions::new("/orders/notifications");
    let resource = NotificationLogResource::new(Arc::new(log), options).unwrap();
    let router: Router = resource.into_router();
    let request = Request::get(path).body(Body::empty()).unwrap();
    let answer = router.oneshot(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    to_bytes(answer.into_body(), usize::MAX)
        .await
        .unwrap()
        .into()
}

/// A log that is known to have one section.
#[derive(Debug)]
struct Fixed(Section);

#[async_trait]
impl NotificationLog for Fixed {
    async fn describe(&self) -> Result<LogDescription, LogError> {
        Ok(LogDescription {
            n_redacted: 0,
            log: self.0.log.clone(),
            first_available: 1,
            last: self
                .0
                .last
                .unwrap_or_else(|| self.0.id.high().saturating_add(1)),
        })
    }

    async fn current(&self) -> Result<Section, LogError> {
        Ok(self.0.clone())
    }

    async fn section(&self, _: &SectionLink) -> Result<Section, LogError> {
        Ok(self.0.clone())
    }

    async fn wait(&self, _: u64, _: Duration) -> Result<bool, LogError> {
        Ok(false)
    }
}
