//! Servers that show a certificate.

use boxes_recorder::RecorderError;
use boxes_test_servers::{NewServer, Server};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use crate::database::{Database, Kind};
use crate::events::append;
use crate::faults::on_both;

on_both! {
    a_server_is_believed_by_the_authority_that_is_named_and_by_no_other
}

/// An authority of one's own, as a company has it.
fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn start(kind: Kind, authority: &CertifiedIssuer<'static, KeyPair>) -> Server {
    let new: NewServer = kind.new_server();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    let write = |name: &str, pem: &str| {
        let file = new.write(name, pem.as_bytes()).unwrap();
        file.display().to_string()
    };
    let certificate = write("server.pem", &certificate.pem());
    let key = write("server.key", &key.serialize_pem());
    match kind {
        Kind::Postgres => new
            .with("ssl", "on")
            .with("ssl_cert_file", &certificate)
            .with("ssl_key_file", &key),
        Kind::Mysql => new.with("ssl-cert", &certificate).with("ssl-key", &key),
    }
    .start()
    .unwrap()
}

async fn a_server_is_believed_by_the_authority_that_is_named_and_by_no_other(kind: Kind) {
    let [ours, theirs] = ["ours", "theirs"].map(authority);
    let server = start(kind, &ours);
    let folder = tempfile::tempdir().unwrap();
    let file_of = |name: &str, authority: &CertifiedIssuer<'static, KeyPair>| {
        let file = folder.path().join(name);
        std::fs::write(&file, authority.pem()).unwrap();
        file.display().to_string()
    };
    let (ours, theirs) = (file_of("ours.pem", &ours), file_of("theirs.pem", &theirs));
    let database = Database::on(kind, &server);
    let with = |host: &str, mode: &str, authority: &str| {
        let mut database = database.clone();
        database.url = database.url.replace("@127.0.0.1:", &format!("@{host}:"));
        match kind {
            Kind::Postgres => database.with(&format!("sslmode={mode}&sslrootcert={authority}")),
            Kind::Mysql => {
                let mode = match mode {
                    "verify-full" => "VERIFY_IDENTITY",
                    _ => "VERIFY_CA",
                };
                database.with(&format!("ssl-mode={mode}&ssl-ca={authority}"))
            }
        }
    };

    let recorder = with("localhost", "verify-full", &ours).recorder().await;
    recorder.record(&[append(1, 1)]).await.unwrap();
    assert_eq!(recorder.head().await.unwrap(), 1);
    let mut session = database.session().await;
    let encrypted = match kind {
        Kind::Postgres => {
            "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
             WHERE ssl AND application_name = 'box orders'"
        }
        // The session of this question is the server's only other one.
        Kind::Mysql => {
            "SELECT CAST(variable_value AS SIGNED) FROM information_schema.global_status
             WHERE variable_name = 'SSL_FINISHED_ACCEPTS'"
        }
    };
    assert!(
        session.number(encrypted).await >= 2,
        "one that writes, one that reads"
    );

    let refused = |opened: Result<_, RecorderError>| match opened {
        Err(RecorderError::Mismatch { reason }) => reason,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("believed"),
    };
    let other_authority = refused(with("localhost", "verify-full", &theirs).open().await);
    let parameter = match kind {
        Kind::Postgres => "`sslrootcert=FILE`",
        Kind::Mysql => "`ssl-ca=FILE`",
    };
    assert!(other_authority.contains(parameter), "{other_authority}");
    // The certificate is of `localhost`, and of no address.
    let other_host = refused(with("127.0.0.1", "verify-full", &ours).open().await);
    assert!(other_host.contains("certificate"), "{other_host}");
    with("127.0.0.1", "verify-ca", &ours).recorder().await;
}
