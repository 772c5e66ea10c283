//! An authority of one's own, for tests of HTTPS.

use std::path::Path;

use boxes::http::{Authorities, install_crypto_provider};
use boxes::service::TlsFiles;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use reqwest::{Certificate, Client, ClientBuilder};

use crate::DEADLINE;

/// An authority that vouches for the services of a test.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Default for Authority {
    fn default() -> Self {
        Self::named("boxes")
    }
}

impl Authority {
    /// One that calls itself so.
    #[must_use]
    pub fn named(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        Self { issuer, pem }
    }

    /// Writes a certificate for `host` and its key into the folder, in place of those that are there.
    #[must_use]
    pub fn issue(&self, host: &str, folder: &Path) -> TlsFiles {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([host.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let files = TlsFiles {
            certificate: folder.join("service.pem"),
            key: folder.join("service.key"),
        };
        std::fs::write(&files.certificate, certificate.pem()).unwrap();
        std::fs::write(&files.key, key.serialize_pem()).unwrap();
        files
    }

    /// Its own certificate.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// What a follower trusts that trusts it.
    #[must_use]
    pub fn trusted(&self) -> Authorities {
        Authorities::from_pem(self.pem.as_bytes()).unwrap()
    }

    /// A client that trusts it and nobody else.
    #[must_use]
    pub fn client(&self, change: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Client {
        install_crypto_provider();
        let certificate = Certificate::from_pem(self.pem.as_bytes()).unwrap();
        let builder = Client::builder()
            .tls_certs_only([certificate])
            .tls_info(true)
            .timeout(DEADLINE);
        change(builder).build().unwrap()
    }
}
