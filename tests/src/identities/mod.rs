//! Those who say who a program is: an OpenID provider, a security token service, and the services that
//! machines and containers ask for credentials of their own.

mod given;
mod machine;
mod openid;
mod signer;
mod sts;
mod token_service;

pub use given::Given;
pub use machine::{CONTAINER_TOKEN, Machine};
pub use openid::OpenId;
pub use signer::Signer;
pub use sts::TemporaryKeys;
pub use token_service::TokenService;

use axum::Router;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A server on a loopback port of its own, until it is dropped.
#[derive(Debug)]
struct Served {
    port: u16,
    task: JoinHandle<()>,
}

impl Served {
    async fn bind() -> TcpListener {
        TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a loopback port is free")
    }

    fn start(listener: TcpListener, router: Router) -> Self {
        let address = listener
            .local_addr()
            .expect("a bound listener has an address");
        let task = tokio::spawn(async move {
            axum::serve(listener, router)
                .await
                .expect("serving goes on");
        });
        Self {
            port: address.port(),
            task,
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}
