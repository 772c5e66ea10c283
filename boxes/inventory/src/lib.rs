//! Example box: inventory
