//! Which cryptography TLS uses.

/// Makes ring the cryptography of rustls in this process, unless the process has chosen one already.
///
/// [`RemoteNotificationLog`](crate::RemoteNotificationLog) does it by itself. A program that builds HTTP clients
/// of its own calls this first: without a provider they can't be built, not even for plain HTTP.
pub fn install_crypto_provider() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // If another thread is quicker, its provider is as good.
        drop(rustls::crypto::ring::default_provider().install_default());
    }
}
