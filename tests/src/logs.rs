//! What the logs of the boxes tell, without what differs from run to run.

use boxes::notification_log::NotificationLogReader;
use monolith::{BoxName, Endpoints};

/// One notification, without its times and the ids of events, which differ from run to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Story {
    /// Its place in the log.
    pub id: u64,
    /// What kind of event it is.
    pub topic: String,
    /// The aggregate, whose id is made from a name in these tests.
    pub originator_id: uuid::Uuid,
    /// The aggregate's version after it.
    pub originator_version: u64,
    /// What it says.
    pub state: String,
}

/// The whole log of each box, from beginning to end, read over HTTP.
pub async fn stories(endpoints: &Endpoints) -> Vec<(&'static str, Vec<Story>)> {
    let mut all = Vec::new();
    for name in BoxName::ALL {
        let mut reader = NotificationLogReader::new(endpoints.log(name).unwrap(), None);
        let mut log = Vec::new();
        loop {
            let batch = reader.next_batch().await.unwrap();
            if batch.is_empty() {
                break;
            }
            log.extend(batch.into_iter().map(|n| Story {
                id: n.id,
                topic: n.event.topic.into_owned(),
                originator_id: n.event.originator_id,
                originator_version: n.event.originator_version,
                state: String::from_utf8(n.event.state.to_vec()).unwrap(),
            }));
        }
        all.push((name.as_str(), log));
    }
    all
}
