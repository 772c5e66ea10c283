//! The contract of every recorder, on PostgreSQL, and what is special to a server.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "in a test a panic is the message"
)]

use std::sync::Arc;

use boxes_recorder::Recorder;
use boxes_recorder_sqlx::{OpenLog, PostgresRecorder};
use boxes_testing::postgres_url;
use boxes_testing::recorder_contract::Store;

struct Postgres(String);

impl Postgres {
    fn new() -> Self {
        Self(postgres_url())
    }
}

impl Store for Postgres {
    async fn open(&self) -> Arc<dyn Recorder> {
        Arc::new(
            PostgresRecorder::open(&self.0, OpenLog::named("test"))
                .await
                .unwrap(),
        )
    }
}

boxes_testing::recorder_contract!(Postgres::new());

mod key_values {
    use super::Postgres;

    boxes_testing::key_value_contract!(Postgres::new());
}
