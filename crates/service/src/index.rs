//! What is here.

use boxes_http::{IndexedBox, IndexedLog, ServiceIndex};

use crate::descriptions::{async_api_path, open_api_path};
use crate::state::State;

/// `GET /`: the boxes of this service and where they are, as JSON and, for a browser, as HTML.
///
/// The addresses are paths, unless a public base is configured.
pub(crate) fn index(state: &State) -> ServiceIndex {
    let at = |path: &str| format!("{}{path}", state.public_base);
    let boxes = state.boxes.iter().map(|running| {
        let name = running.app.name();
        let logs = running.logs.iter().map(|published| {
            let log = &published.name;
            IndexedLog {
                log: log.clone(),
                notifications: at(&format!("/{log}/notifications")),
                description: at(&format!("/{log}/notifications/log")),
                topics: at(&format!("/{log}/topics")),
            }
        });
        IndexedBox {
            name: name.to_owned(),
            url: at(&format!("/{name}")),
            notifications: at(&format!("/{name}/notifications")),
            logs: logs.collect(),
            openapi: at(&open_api_path(name)),
            asyncapi: at(&async_api_path(name)),
        }
    });
    ServiceIndex {
        url: at("/"),
        boxes: boxes.collect(),
        healthz: at("/healthz"),
        readyz: at("/readyz"),
        metrics: at("/metrics"),
        problems: at("/problems"),
    }
}
