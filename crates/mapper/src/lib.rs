//! Between events and the bytes that are stored: topics and transcoding
