//! Numbers of the port as those of SQL, which have a sign.

pub(crate) fn unsigned(value: i64) -> Result<u64, sqlx::Error> {
    u64::try_from(value).map_err(|error| sqlx::Error::Decode(error.into()))
}

pub(crate) fn signed(value: u64) -> Result<i64, sqlx::Error> {
    i64::try_from(value).map_err(|error| sqlx::Error::Encode(error.into()))
}

/// A number for SQL that means "no more than `n`", where SQL's greatest number means "no bound".
pub(crate) fn at_most(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
