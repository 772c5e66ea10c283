//! The four example boxes in one program
