//! Keys for tests.

pub(crate) const SIGNING_KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIA5rZN5RZcX/YDfrQrXncQPP8qp3B+GUaqLq5sjBYxhH
-----END PRIVATE KEY-----
";

pub(crate) const OTHER_KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIH/9/baAJS6F6/abm5mwU4siaSzYv+glnlYUztQgNKYs
-----END PRIVATE KEY-----
";
