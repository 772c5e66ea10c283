//! One of several processes that work on the same store, as far as one process can play several.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use boxes_http::{
    NotificationLogOptions, NotificationLogResource, RemoteNotificationLog, RemoteOptions,
    unknown_path,
};
use boxes_notification_log::{LocalNotificationLog, NotificationLog};
use boxes_recorder::{GroupCommit, GroupCommitBounds, LogIdentity, MemoryRecorder, Recorder};
use boxes_recorder_sqlx::{OpenLog, SqliteRecorder};
use boxes_tests::DEADLINE;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tower::ServiceExt;
use url::Url;

const PATH: &str = "/orders/notifications";

/// Where events are kept, also while nobody has it open.
#[derive(Debug)]
pub(crate) enum Store {
    Memory(MemoryRecorder),
    Sqlite { folder: TempDir, log: LogIdentity },
}

/// A process with its writer, its log near, and its log as others reach it over HTTP.
pub(crate) struct Replica {
    pub(crate) writer: GroupCommit,
    pub(crate) near: Arc<dyn NotificationLog>,
    /// A client that lives as long as the test, whatever becomes of the server.
    pub(crate) far: Arc<dyn NotificationLog>,
    /// The head that it has shown, below which it must not fall again.
    pub(crate) floor: u64,
    file: Option<Arc<SqliteRecorder>>,
    routes: Arc<RwLock<Router>>,
    server: AbortHandle,
}

impl Store {
    pub(crate) fn memory(log: LogIdentity) -> Self {
        Self::Memory(MemoryRecorder::new(log))
    }

    pub(crate) fn sqlite(log: LogIdentity) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::Sqlite { folder, log }
    }

    async fn open(&self) -> (Arc<dyn Recorder>, Option<Arc<SqliteRecorder>>) {
        match self {
            Self::Memory(recorder) => (Arc::new(recorder.clone()), None),
            Self::Sqlite { folder, log } => {
                let file = Arc::new(open_file(folder.path(), log).await);
                (Arc::<SqliteRecorder>::clone(&file), Some(file))
            }
        }
    }
}

async fn open_file(folder: &Path, log: &LogIdentity) -> SqliteRecorder {
    let file = folder.join("orders.sqlite");
    let open = OpenLog::named(&log.name)
        .with_page_size(log.page_size)
        .with_new_epoch(log.epoch);
    SqliteRecorder::open(file.to_str().unwrap(), open)
        .await
        .unwrap()
}

/// What a process has at hand once it has opened the store.
async fn start(
    store: &Store,
) -> (
    GroupCommit,
    Arc<dyn NotificationLog>,
    Router,
    Option<Arc<SqliteRecorder>>,
) {
    let (recorder, file) = store.open().await;
    let bounds = GroupCommitBounds {
        head_poll_interval: Duration::from_millis(5),
        ..GroupCommitBounds::default()
    };
    let writer = GroupCommit::start(recorder, bounds).await.unwrap();
    let near: Arc<dyn NotificationLog> = Arc::new(LocalNotificationLog::new(&writer));
    let options = NotificationLogOptions::new(PATH);
    let resource = NotificationLogResource::new(Arc::clone(&near), options).unwrap();
    let routes = resource.into_router().fallback(unknown_path);
    (writer, near, routes, file)
}

impl Replica {
    pub(crate) async fn start(store: &Store) -> Self {
        let (writer, near, routes, file) = start(store).await;
        let routes = Arc::new(RwLock::new(routes));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}{PATH}", listener.local_addr().unwrap());
        let served = Arc::clone(&routes);
        // The address stays, and connections may; what answers is what runs at the time.
        let front = Router::new().fallback(move |request: Request| {
            let routes = served
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            routes.oneshot(request)
        });
        let server = tokio::spawn(async move { axum::serve(listener, front).await }).abort_handle();
        let url = Url::parse(&url).unwrap();
        let far = RemoteNotificationLog::new(url, RemoteOptions::default()).unwrap();
        Self {
            floor: *writer.watch_head().borrow(),
            writer,
            near,
            far: Arc::new(far),
            file,
            routes,
            server,
        }
    }

    /// Ends, with a farewell or without, and starts again.
    pub(crate) async fn restart(&mut self, store: &Store, cleanly: bool) {
        if cleanly {
            self.writer.close().await;
            if let Some(file) = &self.file {
                file.close().await.unwrap();
            }
        }
        let (writer, near, routes, file) = start(store).await;
        self.floor = *writer.watch_head().borrow();
        *self.routes.write().unwrap() = routes;
        (self.writer, self.near, self.file) = (writer, near, file);
    }

    pub(crate) fn recorder(&self) -> Arc<dyn Recorder> {
        Arc::clone(self.writer.recorder())
    }

    /// Waits until it has noticed what others have written.
    pub(crate) async fn notices(&mut self, head: u64) {
        let mut watched = self.writer.watch_head();
        let noticed = watched.wait_for(|newest| *newest >= head);
        let noticed = tokio::time::timeout(DEADLINE, noticed).await;
        noticed.expect("it notices in time").unwrap();
        self.floor = self.floor.max(head);
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.server.abort();
    }
}
