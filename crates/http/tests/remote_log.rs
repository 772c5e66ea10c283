//! A log over HTTP keeps what every log promises: the suite over a real server, and what the network may do.

mod support;

use boxes_http::NotificationLogOptions;

boxes_testing::notification_log_suite!(|log| async move {
    let url = support::serve(log, NotificationLogOptions::new(support::PATH)).await;
    support::remote(&url)
});
