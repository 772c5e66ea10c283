//! Example box: shipping
