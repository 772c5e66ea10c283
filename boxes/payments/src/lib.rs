//! Example box: payments
