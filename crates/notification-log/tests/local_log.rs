//! The log of a box in this process keeps what every log promises.

boxes_testing::notification_log_suite!(|log| async move { log });
