//! Event-sourced bounded contexts that publish their events as a notification log
