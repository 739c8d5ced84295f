//! Makes a bucket: a request that the store's client does not have.

use std::error::Error;

use object_store::aws::{AmazonS3, AwsAuthorizer};
use object_store::client::{HttpRequest, HttpRequestBody};
use object_store::signer::Signer as _;
use reqwest::Method;
