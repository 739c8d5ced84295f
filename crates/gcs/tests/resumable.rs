//! What fake-gcs-server never does and the service may: take a part of what was sent, be busy, lose an
//! answer. A listener plays one upload by its rules.

#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{post, put};
use object_store::Error;
use object_store::client::{HttpError, HttpErrorKind};
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use penstock_gcs::{Access, Bucket};

/// What the listener does with the next bytes.
#[derive(Clone, Copy)]
enum Move {
    /// Takes all.
    Take,
    /// Takes so many of them.
    TakeOnly(usize),
    /// Takes none and answers so.
    Refuse(u16),
    /// Takes all, and its answer is an error.
    TakeAndFail,
    /// Takes none and says nothing.
    SayNothing,
}

#[derive(Default)]
struct Played {
    url: String,
    moves: Vec<Move>,
    object: Vec<u8>,
}

type Game = Arc<Mutex<Played>>;

async fn begin(State(game): State<Game>) -> Response {
    let url = game.lock().unwrap().url.clone();
    ([("Location", format!("{url}/session"))], "").into_response()
}

async fn take(State(game): State<Game>, headers: HeaderMap, body: Bytes) -> Response {
    let next = {
        let mut game = game.lock().unwrap();
        if game.moves.is_empty() {
            Move::Take
        } else {
            game.moves.remove(0)
        }
    };
    if matches!(next, Move::SayNothing) {
        return std::future::pending().await;
    }
    let mut game = game.lock().unwrap();
    let range = headers["content-range"].to_str().unwrap().to_owned();
    let (bytes, total) = range
        .strip_prefix("bytes ")
        .unwrap()
        .split_once('/')
        .unwrap();
    let taken = match next {
        Move::Refuse(status) => return StatusCode::from_u16(status).unwrap().into_response(),
        Move::TakeOnly(taken) => taken,
        Move::Take | Move::TakeAndFail | Move::SayNothing => body.len(),
    };
    if let Some((start, _)) = bytes.split_once('-') {
        // Bytes that are there already are ignored.
        let start: usize = start.parse().unwrap();
        assert!(start <= game.object.len(), "a gap before {start}");
        let known = game.object.len() - start;
        game.object
            .extend_from_slice(&body[known.min(taken)..taken]);
    }
    if matches!(next, Move::TakeAndFail) {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    if total.parse() == Ok(game.object.len()) {
        let size = game.object.len();
        let resource =
            format!(r#"{{"name":"o","size":"{size}","updated":"2026-01-01T00:00:00Z"}}"#);
        return resource.into_response();
    }
    let range = format!("bytes=0-{}", game.object.len() - 1);
    (StatusCode::PERMANENT_REDIRECT, [("Range", range)]).into_response()
}

async fn play(moves: Vec<Move>) -> (Bucket, Game) {
    play_with(moves, Duration::from_secs(10), Duration::from_secs(30)).await
}

async fn play_with(moves: Vec<Move>, timeout: Duration, retry_for: Duration) -> (Bucket, Game) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let game = Arc::new(Mutex::new(Played {
        url: url.clone(),
        moves,
        object: vec![],
    }));
    let app = Router::new()
        .route("/upload/storage/v1/b/lake/o", post(begin))
        .route("/session", put(take))
        .with_state(game.clone());
    tokio::spawn(async move { axum::serve(listener, app).await });
    let bucket = Bucket::new(Access {
        endpoint: url,
        bucket: "lake".into(),
        credentials: None,
        proxy: None,
        timeout,
        connect_timeout: Duration::from_secs(5),
        retries: 3,
        retry_for,
        longest_pause: Duration::from_millis(100),
    });
    (bucket.unwrap(), game)
}

#[tokio::test]
async fn every_byte_goes_up_once_whatever_the_service_takes_and_loses() {
    let part: Vec<u8> = (0..600_000_u32).map(|at| (at % 241) as u8).collect();
    for (case, moves) in [
        ("all is well", vec![]),
        ("a part of a part", vec![Move::TakeOnly(262_144)]),
        ("busy", vec![Move::Refuse(503), Move::Refuse(429)]),
        ("a lost answer", vec![Move::TakeAndFail]),
        (
            "a lost last answer",
            vec![Move::Take, Move::Take, Move::TakeAndFail],
        ),
        (
            "all of it",
            vec![
                Move::Refuse(500),
                Move::TakeOnly(262_144),
                Move::TakeAndFail,
            ],
        ),
    ] {
        let (bucket, game) = play(moves).await;
        let path = Path::from("o");
        let id = bucket.create_multipart(&path).await.unwrap();
        let mut parts = Vec::new();
        for number in 0..2 {
            let sent = bucket
                .put_part(&path, &id, number, part.clone().into())
                .await;
            parts.push(sent.unwrap_or_else(|error| panic!("{case}: {error}")));
        }
        bucket.complete_multipart(&path, &id, parts).await.unwrap();
        assert!(
            game.lock().unwrap().object == [&part[..], &part[..]].concat(),
            "{case}"
        );
    }
}

#[tokio::test]
async fn a_service_that_says_nothing_is_asked_again_but_not_for_ever() {
    let (timeout, path) = (Duration::from_millis(200), Path::from("o"));
    for (retry_for, heard) in [(Duration::from_secs(30), true), (Duration::ZERO, false)] {
        let moves = vec![Move::SayNothing; 2];
        let (bucket, game) = play_with(moves, timeout, retry_for).await;
        let id = bucket.create_multipart(&path).await.unwrap();
        let sent = bucket
            .put_part(&path, &id, 0, vec![1; 262_144].into())
            .await;
        assert_eq!(sent.is_ok(), heard, "{sent:?}");
        assert_eq!(game.lock().unwrap().moves.len(), usize::from(!heard));
        let Err(Error::Generic { source, .. }) = sent else {
            continue;
        };
        let error: &HttpError = source.downcast_ref().unwrap();
        assert_eq!(error.kind(), HttpErrorKind::Timeout);
        assert!(!source.to_string().contains("session"), "{source}");
    }
}

#[tokio::test]
async fn a_part_that_fails_fails_those_behind_it() {
    let (bucket, _game) = play(vec![Move::Refuse(403)]).await;
    let path = Path::from("o");
    let id = bucket.create_multipart(&path).await.unwrap();
    let part = || vec![1_u8; 300_000].into();
    let (first, second) = tokio::join!(
        bucket.put_part(&path, &id, 0, part()),
        bucket.put_part(&path, &id, 1, part()),
    );
    first.unwrap_err();
    let error = second.unwrap_err().to_string();
    assert_eq!(
        error,
        "Generic GCS error: an earlier part of the upload failed"
    );
    bucket
        .complete_multipart(&path, &id, vec![])
        .await
        .unwrap_err();
}

#[tokio::test]
async fn an_upload_whose_end_failed_is_forgotten() {
    let (bucket, _game) = play(vec![Move::Take, Move::Refuse(403)]).await;
    let path = Path::from("o");
    let id = bucket.create_multipart(&path).await.unwrap();
    let part = bucket.put_part(&path, &id, 0, vec![1; 300_000].into());
    let parts = vec![part.await.unwrap()];
    let ended = bucket.complete_multipart(&path, &id, parts.clone()).await;
    assert!(
        matches!(ended, Err(Error::PermissionDenied { .. })),
        "{ended:?}"
    );
    let again = bucket.complete_multipart(&path, &id, parts).await;
    assert!(matches!(again, Err(Error::NotFound { .. })), "{again:?}");
}
