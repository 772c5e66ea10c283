//! The certificate that a service shows, and the key to it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError as Refusal, InconsistentKeys, RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

use crate::secret_file::check_writers;

/// How long before it expires a certificate is warned of.
const WARN_BEFORE_EXPIRY: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// The largest file of certificates or of a key, in bytes.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// The files with which a service speaks TLS, both in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The service's certificate, and behind it those of the authorities between it and one that clients know.
    pub certificate: PathBuf,
    /// The private key of the first of them.
    pub key: PathBuf,
}

/// The certificate or its key can't be used. The message is one sentence that names the file, and what would be right.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// A file can't be read.
    #[error("{} can't be read: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// A file does not hold what it should.
    #[error("{} {reason}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what would be right.
        reason: String,
    },
    /// The key is not that of the certificate.
    #[error("the key in {} {reason} in {}", files.key.display(), files.certificate.display())]
    Mismatch {
        /// Both files.
        files: TlsFiles,
        /// How they don't go together.
        reason: String,
    },
}

/// The certificate that is shown to clients; another one may take its place.
#[derive(Debug)]
pub(crate) struct ShownCertificate {
    files: TlsFiles,
    current: RwLock<Arc<CertifiedKey>>,
}

impl ShownCertificate {
    /// Reads the files.
    pub(crate) fn read(files: TlsFiles) -> Result<Self, CertificateError> {
        let current = RwLock::new(read_certificate(&files)?);
        Ok(Self { files, current })
    }

    /// Shows this one from now on.
    pub(crate) fn show(&self, certified: Arc<CertifiedKey>) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = certified;
    }
}

impl ResolvesServerCert for ShownCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&current))
    }
}

/// Speaks TLS 1.2 and 1.3 with clients, and HTTP/2 or HTTP/1.1 as they like.
pub(crate) fn acceptor(
    certificate: Arc<ShownCertificate>,
) -> Result<TlsAcceptor, CertificateError> {
    let builder = ServerConfig::builder_with_provider(provider());
    let builder = builder
        .with_safe_default_protocol_versions()
        .map_err(|error| CertificateError::Unusable {
            path: certificate.files.certificate.clone(),
            reason: format!("can't be shown: {error}"),
        })?;
    let mut config = builder
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    config.alpn_protocols = vec![HTTP_2.to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// What a client and a server call HTTP/2 when they agree on it.
pub(crate) const HTTP_2: &[u8] = b"h2";

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// What the files hold, if it can be shown.
pub(crate) fn read_certificate(files: &TlsFiles) -> Result<Arc<CertifiedKey>, CertificateError> {
    read(files, UnixTime::now())
}

fn read(files: &TlsFiles, now: UnixTime) -> Result<Arc<CertifiedKey>, CertificateError> {
    let chain = certificates(&files.certificate)?;
    let key = private_key(&files.key)?;
    if let Some(first) = chain.first() {
        check_time(&files.certificate, first, now)?;
    }
    let certified = certified(files, chain, key)?;
    Ok(Arc::new(certified))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let text = read_file(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found = found.map_err(|error| unusable(path, format!("holds a damaged one: {error}")))?;
    if found.is_empty() {
        return Err(unusable(
            path,
            "holds no certificate: expected PEM, which begins with `-----BEGIN CERTIFICATE-----`",
        ));
    }
    Ok(found)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, CertificateError> {
    check_writers(path).map_err(|reason| unusable(path, format!("is a file that {reason}")))?;
    let text = zeroize::Zeroizing::new(read_file(path)?);
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| match error {
        pem::Error::NoItemsFound => {
            let is_encrypted = text
                .windows(ENCRYPTED.len())
                .any(|window| window == ENCRYPTED);
            let reason = if is_encrypted {
                "is encrypted, and a service has nobody to ask for the password: `openssl pkey -in FILE` takes it off"
            } else {
                "holds no private key: expected PEM, which begins with `-----BEGIN PRIVATE KEY-----`"
            };
            unusable(path, reason)
        }
        error => unusable(path, format!("holds a damaged private key: {error}")),
    })
}

const ENCRYPTED: &[u8] = b"-----BEGIN ENCRYPTED PRIVATE KEY-----";

fn certified(
    files: &TlsFiles,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<CertifiedKey, CertificateError> {
    let provider = provider();
    let signing = provider
        .key_provider
        .load_private_key(key)
        .map_err(|error| {
            unusable(
                &files.key,
                format!("holds a key that can't be used: {error}"),
            )
        })?;
    let is_of = |certificate: &CertificateDer<'static>| {
        CertifiedKey::new(vec![certificate.clone()], Arc::clone(&signing)).keys_match()
    };
    let Some(first) = chain.first() else {
        return Err(unusable(&files.certificate, "holds no certificate"));
    };
    match is_of(first) {
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {
            Ok(CertifiedKey::new(chain, signing))
        }
        Err(rustls::Error::InconsistentKeys(_)) => {
            let place = chain.iter().position(|other| is_of(other).is_ok());
            let reason = match place {
                Some(index) => format!(
                    "is that of certificate number {}, which has to be the first one",
                    index + 1
                ),
                None => "is not that of the certificate".to_owned(),
            };
            let files = files.clone();
            Err(CertificateError::Mismatch { files, reason })
        }
        Err(error) => Err(unusable(
            &files.certificate,
            format!("holds a certificate that can't be read: {error}"),
        )),
    }
}

/// Refuses a certificate that no client would take now, and warns of one that none will take soon.
fn check_time(
    path: &Path,
    certificate: &CertificateDer<'_>,
    now: UnixTime,
) -> Result<(), CertificateError> {
    match validity(certificate, now) {
        Some(Refusal::ExpiredContext { not_after, .. }) => {
            return Err(unusable(
                path,
                format!(
                    "holds a certificate that expired at {}: renew it",
                    time(not_after)
                ),
            ));
        }
        Some(Refusal::NotValidYetContext { not_before, .. }) => {
            return Err(unusable(
                path,
                format!(
                    "holds a certificate that is not valid before {}: wait, or look at the clock of this machine",
                    time(not_before)
                ),
            ));
        }
        _ => {}
    }
    let soon = UnixTime::since_unix_epoch(
        Duration::from_secs(now.as_secs()).saturating_add(WARN_BEFORE_EXPIRY),
    );
    if let Some(Refusal::ExpiredContext { not_after, .. }) = validity(certificate, soon) {
        tracing::warn!(file = %path.display(), expires = time(not_after), "the certificate expires soon");
    }
    Ok(())
}

/// What is wrong with the time for which a certificate is valid. That is looked at before all else, so it does not
/// matter who issued it.
fn validity(certificate: &CertificateDer<'_>, at: UnixTime) -> Option<Refusal> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).ok()?;
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .ok()?;
    let name = ServerName::try_from("localhost").ok()?;
    match verifier.verify_server_cert(certificate, &[], &name, &[], at) {
        Err(rustls::Error::InvalidCertificate(refusal)) => Some(refusal),
        _ => None,
    }
}

fn time(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).map_or_else(
        |_| format!("{seconds} s after 1970"),
        |time| time.to_string(),
    )
}

fn read_file(path: &Path) -> Result<Vec<u8>, CertificateError> {
    let unreadable = |reason: String| CertificateError::Unreadable {
        path: path.to_owned(),
        reason,
    };
    let size = std::fs::metadata(path)
        .map_err(|error| unreadable(error.to_string()))?
        .len();
    if size > MAX_FILE_BYTES {
        return Err(unreadable(format!(
            "it has {size} bytes; {MAX_FILE_BYTES} are the most"
        )));
    }
    std::fs::read(path).map_err(|error| unreadable(error.to_string()))
}

fn unusable(path: &Path, reason: impl Into<String>) -> CertificateError {
    CertificateError::Unusable {
        path: path.to_owned(),
        reason: reason.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};
    use tempfile::TempDir;

    struct Folder(TempDir);

    impl Folder {
        fn files(&self, certificate: &str, key: &str) -> TlsFiles {
            let write = |name: &str, text: &str| {
                let path = self.0.path().join(name);
                std::fs::write(&path, text).unwrap();
                path
            };
            TlsFiles {
                certificate: write("service.pem", certificate),
                key: write("service.key", key),
            }
        }

        fn refusal(&self, certificate: &str, key: &str) -> String {
            let files = self.files(certificate, key);
            let error = read(&files, UnixTime::now()).unwrap_err().to_string();
            let folder = self.0.path().display().to_string();
            error.replace(&format!("{folder}/"), "")
        }
    }

    fn folder() -> Folder {
        Folder(TempDir::new().unwrap())
    }

    fn self_signed(change: impl FnOnce(&mut CertificateParams)) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        change(&mut params);
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    #[test]
    fn each_thing_that_can_be_wrong_with_the_files_is_one_sentence_that_names_them() {
        let folder = folder();
        let (certificate, key) = self_signed(|_| {});
        let (other, other_key) = self_signed(|_| {});
        let encrypted = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
        let damaged = key.replacen("M", "*", 1);
        let cases = [
            ("", &*key, "service.pem holds no certificate: expected PEM"),
            (&*key, &*key, "service.pem holds no certificate"),
            (
                &*certificate,
                "",
                "service.key holds no private key: expected PEM",
            ),
            (
                &*certificate,
                &*certificate,
                "service.key holds no private key",
            ),
            (&*certificate, &*encrypted, "service.key is encrypted"),
            (
                &*certificate,
                &*damaged,
                "service.key holds a damaged private key",
            ),
            (
                &*certificate,
                &*other_key,
                "the key in service.key is not that of the certificate in service.pem",
            ),
            (
                &*format!("{other}{certificate}"),
                &*key,
                "is that of certificate number 2, which has to be the first one in service.pem",
            ),
            (
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                &*key,
                "service.pem holds a certificate that can't be read",
            ),
        ];
        for (certificate, key, sentence) in cases {
            let refusal = folder.refusal(certificate, key);
            assert!(refusal.contains(sentence), "{sentence}: {refusal}");
            assert!(!refusal.contains('\n'), "{refusal}");
        }
        let missing = TlsFiles {
            certificate: folder.0.path().join("missing.pem"),
            ..folder.files(&certificate, &key)
        };
        let refusal = read(&missing, UnixTime::now()).unwrap_err().to_string();
        assert!(refusal.contains("missing.pem can't be read"), "{refusal}");
    }

    #[test]
    fn a_certificate_is_refused_outside_of_the_time_for_which_it_is_valid() {
        let folder = folder();
        let (expired, key) = self_signed(|params| params.not_after = date_time_ymd(2026, 1, 1));
        assert_eq!(
            folder.refusal(&expired, &key),
            "service.pem holds a certificate that expired at 2026-01-01T00:00:00Z: renew it"
        );
        let (early, key) = self_signed(|params| params.not_before = date_time_ymd(2400, 1, 1));
        assert!(
            folder
                .refusal(&early, &key)
                .contains("is not valid before 2400-01-01T00:00:00Z")
        );
        let (valid, key) = self_signed(|_| {});
        read(&folder.files(&valid, &key), UnixTime::now()).unwrap();
    }

    #[test]
    fn what_is_written_over_the_files_is_shown_from_the_next_reading_on_if_it_is_right() {
        let folder = folder();
        let (first, key) = self_signed(|_| {});
        let shown = ShownCertificate::read(folder.files(&first, &key)).unwrap();
        let current = || shown.current.read().unwrap().cert.clone();
        let before = current();
        let (second, second_key) = self_signed(|_| {});
        folder.files(&second, &key);
        read_certificate(&shown.files).unwrap_err();
        assert_eq!(current(), before, "what can't be used changes nothing");
        folder.files(&second, &second_key);
        shown.show(read_certificate(&shown.files).unwrap());
        assert_ne!(current(), before);
    }
}
