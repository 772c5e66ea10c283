//! Example box: orders
