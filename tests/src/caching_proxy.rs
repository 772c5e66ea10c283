//! Caches between a box and its readers.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::until;

/// A proxy that keeps what it may of the answers of services. Ended when it is dropped.
#[derive(Debug)]
pub struct CachingProxy {
    process: Child,
    base_url: String,
}

/// As nginx has to be to keep pages, and to let long polls through.
const CACHING: &str =
    "proxy_http_version 1.1; proxy_cache pages; proxy_set_header If-None-Match $http_if_none_match;
                       add_header X-Cache $upstream_cache_status always;";

impl CachingProxy {
    /// nginx, which is `program`, with a cache in `folder` before these services, which it asks in turn.
    pub async fn nginx(program: &Path, folder: &Path, services: &[&str]) -> Self {
        Self::nginx_with(program, folder, services, CACHING).await
    }

    /// The same with these settings for what it passes on.
    pub async fn nginx_with(
        program: &Path,
        folder: &Path,
        services: &[&str],
        settings: &str,
    ) -> Self {
        // Its worker processes may run as another user, who must be let in.
        std::fs::set_permissions(folder, PermissionsExt::from_mode(0o755)).unwrap();
        let address = free_address();
        let servers: String = services
            .iter()
            .map(|url| format!("server {}; ", authority(url)))
            .collect();
        let root = folder.display();
        let configuration = format!(
            "daemon off; worker_processes 1; pid {root}/pid; error_log {root}/error.log;
             events {{ worker_connections 512; }}
             http {{ access_log off;
                     client_body_temp_path {root}/body; proxy_temp_path {root}/proxy; fastcgi_temp_path {root}/fastcgi;
                     uwsgi_temp_path {root}/uwsgi; scgi_temp_path {root}/scgi;
                     proxy_cache_path {root}/cache keys_zone=pages:1m;
                     upstream replicas {{ {servers} }}
                     server {{ listen {address};
                               location / {{ proxy_pass http://replicas; proxy_set_header Host $http_host; {settings} }} }} }}"
        );
        let file = folder.join("nginx.conf");
        std::fs::write(&file, configuration).unwrap();
        let mut command = Command::new(program);
        command.arg("-c").arg(&file);
        Self::start(command, address).await
    }

    /// Varnish as it is by default, with its files in `folder`, before this service. It takes `If-None-Match` off a request that it
    /// passes on, so that it can keep the answer.
    pub async fn varnish(program: &Path, folder: &Path, service: &str) -> Self {
        let address = free_address();
        let mut command = Command::new(program);
        command.arg("-n").arg(folder).args(["-F", "-j", "none"]);
        command.args(["-a", &address.to_string(), "-s", "malloc,16m"]);
        command.args(["-b", authority(service)]);
        Self::start(command, address).await
    }

    /// Where it is asked.
    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    async fn start(mut command: Command, address: SocketAddr) -> Self {
        let process = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let proxy = Self {
            process,
            base_url: format!("http://{address}"),
        };
        until("the proxy listens", async || {
            tokio::net::TcpStream::connect(address).await.is_ok()
        })
        .await;
        proxy
    }
}

impl Drop for CachingProxy {
    fn drop(&mut self) {
        // The master ends its worker when it is asked to stop, and not when it is killed.
        let asked = Command::new("kill")
            .arg(self.process.id().to_string())
            .status();
        if asked.is_ok_and(|status| status.success()) {
            self.process.wait().unwrap();
        }
    }
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

fn authority(url: &str) -> &str {
    url.trim_start_matches("http://")
}
