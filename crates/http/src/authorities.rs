//! Who is trusted to say which host a server is.

use std::error::Error;
use std::{fmt, io};

use reqwest::Certificate;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{CertificateError, RootCertStore};

/// Certificates of authorities, which vouch for the servers that a reader reaches by `https://`: for those that the
/// authorities of the system do not know, such as the services of one's own network.
///
/// ```no_run
/// use boxes_http::{Authorities, RemoteOptions};
///
/// # fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let options = RemoteOptions {
///     authorities: Some(Authorities::from_pem(&std::fs::read("/etc/boxes/ca.pem")?)?),
///     ..RemoteOptions::default()
/// };
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Authorities {
    certificates: Vec<Certificate>,
}

/// A text has no certificates of authorities.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it holds no certificate of an authority: {reason}")]
pub struct InvalidAuthorities {
    reason: String,
}

impl Authorities {
    /// Those whose certificates stand in this text, one after the other (PEM, `-----BEGIN CERTIFICATE-----`). What
    /// else stands there is ignored.
    ///
    /// # Errors
    ///
    /// [`InvalidAuthorities`] if there is none, or one that can't be read.
    pub fn from_pem(text: &[u8]) -> Result<Self, InvalidAuthorities> {
        let unusable = |reason: String| InvalidAuthorities { reason };
        let mut certificates = Vec::new();
        for found in CertificateDer::pem_slice_iter(text) {
            let found = found.map_err(|error| unusable(error.to_string()))?;
            let number = certificates.len() + 1;
            let damaged = |error: &dyn Error| unusable(format!("number {number}: {error}"));
            RootCertStore::empty()
                .add(found.clone())
                .map_err(|error| damaged(&error))?;
            certificates.push(Certificate::from_der(&found).map_err(|error| damaged(&error))?);
        }
        if certificates.is_empty() {
            return Err(unusable(
                "`-----BEGIN CERTIFICATE-----` does not stand there".to_owned(),
            ));
        }
        Ok(Self { certificates })
    }

    pub(crate) fn certificates(&self) -> impl Iterator<Item = Certificate> + use<'_> {
        self.certificates.iter().cloned()
    }
}

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authorities({})", self.certificates.len())
    }
}

/// What a server does that is not trusted, if that is why a request failed: to be put behind its address.
pub(crate) fn untrusted(error: &(dyn Error + 'static)) -> Option<String> {
    Some(match tls_error(error)? {
        rustls::Error::InvalidCertificate(found) => {
            let what = match found {
                // A signature that is not the one of the authority with that name is no better than none.
                CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                    "that no authority trusted here vouches for".to_owned()
                }
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                    "that has expired".to_owned()
                }
                CertificateError::NotValidForName
                | CertificateError::NotValidForNameContext { .. } => {
                    "that is for another host".to_owned()
                }
                other => format!("that can't be trusted: {other}"),
            };
            format!("shows a certificate {what}")
        }
        rustls::Error::InvalidMessage(_) => {
            "does not speak TLS: its address may have to begin with http://".to_owned()
        }
        other => format!("can't be spoken to by TLS: {other}"),
    })
}

fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        cause = match error.downcast_ref::<io::Error>() {
            // What an I/O error was made of is not its source.
            Some(error) => error
                .get_ref()
                .map(|inner| -> &(dyn Error + 'static) { inner }),
            None => error.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_no_certificate_is_refused_with_what_is_missing() {
        let refusal = |text: &str| {
            Authorities::from_pem(text.as_bytes())
                .unwrap_err()
                .to_string()
        };
        assert!(refusal("").contains("-----BEGIN CERTIFICATE-----"));
        assert!(refusal("no certificate").contains("-----BEGIN CERTIFICATE-----"));
        let damaged = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(
            refusal(damaged).contains("number 1"),
            "{}",
            refusal(damaged)
        );
        let cut_off = "-----BEGIN CERTIFICATE-----\nAAAA\n";
        assert!(!refusal(cut_off).is_empty());
    }
}
