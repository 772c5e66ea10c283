//! Notification logs over HTTP: pages served, and pages read
