//! Run commands and policies: repository, transactions, followers
