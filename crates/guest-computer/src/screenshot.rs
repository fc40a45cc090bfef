//! `POST /computer/screenshot`.

use axum::extract::State;
use axum::response::IntoResponse;
use browserd_api::computer::{ScreenshotFormat, ScreenshotRegion, ScreenshotRequest};
use browserd_guest_http::refusals::{BodyRefusals, Refusals};
use browserd_rest::{Error, Optional, Result};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use tokio::sync::Semaphore;

use super::Computer;
use super::check::Problems;
use super::device::{Device, Failure};
use super::encoding::{self, Encoding};
use super::hand::Hand;
use super::point::{Region, Size};

/// A picture that has been taken.
enum Taken {
    Raw(super::x11::Picture),
    Base64(String),
}

/// Pictures that are in memory as they were taken at a time: one of a large screen has 33 MiB, and they are
/// taken faster than they are encoded.
static PICTURES: Semaphore = Semaphore::const_new(4);

/// Takes a picture once there is room for it, and encodes it.
async fn encoded<T: Send + 'static, R: Send + 'static>(
    taken: impl Future<Output = Result<T>>,
    encode: impl FnOnce(T) -> R + Send + 'static,
) -> Result<R> {
    let room = PICTURES.acquire().await.map_err(Error::internal)?;
    let taken = taken.await?;
    let encoded = tokio::task::spawn_blocking(move || {
        let encoded = encode(taken);
        // Only now: who asked may be gone long before.
        drop(room);
        encoded
    });
    encoded.await.map_err(Error::internal)
}

fn plan(request: &ScreenshotRequest) -> Result<Encoding> {
    let mut problems = Problems::default();
    let format = request.format.unwrap_or_default();
    let quality = problems.within("quality", request.quality.unwrap_or(80), 1..=100);
    if request.quality.is_some() && format != ScreenshotFormat::Jpeg {
        problems.add("quality", "needs format jpeg; a png has no loss");
    }
    let scale = problems.within("scale", request.scale.unwrap_or(1.0), 0.05..=1.0);
    let quality = u8::try_from(quality).unwrap_or(100);
    problems.refuse()?;
    Ok(Encoding { format, quality, scale })
}

/// The region, if it is one of this screen.
fn within(region: ScreenshotRegion, screen: Size) -> Result<Region> {
    let mut problems = Problems::default();
    let sides = [
        ("x", "width", region.x, region.width, screen.width),
        ("y", "height", region.y, region.height, screen.height),
    ];
    for (start, length, from, size, side) in sides {
        if from < 0 || from >= side {
            let message = format!("must be from 0 to {}, not {from}", side - 1);
            problems.add(format!("region.{start}"), message);
        } else if size < 1 || size > side - from {
            let message = format!(
                "must be from 1 to {} (the screen is {}x{}), not {size}",
                side - from,
                screen.width,
                screen.height
            );
            problems.add(format!("region.{length}"), message);
        }
    }
    problems.refuse()?;
    Ok(Region { x: region.x, y: region.y, width: region.width, height: region.height })
}

async fn take(
    hand: &mut Hand,
    region: Option<ScreenshotRegion>,
    encoding: Encoding,
) -> Result<Taken> {
    let before = |error: Failure| error.before();
    // Headless, all of it as it is needs no size.
    let region = match (&hand.device, region) {
        (Device::Headless(_), None) if encoding.scale >= 1.0 => None,
        (_, region) => {
            let screen = hand.device.size().await.map_err(before)?;
            let whole = ScreenshotRegion { x: 0, y: 0, width: screen.width, height: screen.height };
            Some(within(region.unwrap_or(whole), screen)?)
        }
    };
    match (&mut hand.device, region) {
        (Device::Headful(display, _), Some(region)) => {
            let picture = display.picture(region).await;
            picture.map(Taken::Raw).map_err(|error| before(error.into()))
        }
        (Device::Headful(..), None) => Err(Error::internal("a picture without a region")),
        (Device::Headless(pages), region) => {
            let picture = pages.picture(region, encoding).await;
            picture.map(Taken::Base64).map_err(|error| before(error.into()))
        }
    }
}

/// Take a picture of the screen.
///
/// All of it, or a `region` (`x`, `y`, `width`, `height`, all four), as a PNG, or with `format: jpeg`
/// (extension) as a JPEG of `quality` percent. `scale` (extension, 0.05 to 1) makes it smaller. Headful
/// it is the whole screen with the browser's own interface, and the mouse pointer unless it is hidden;
/// headless it is the viewport of the page in front. Taken between actions, never during one. A region
/// that leaves the screen is 400 with the bounds.
#[utoipa::path(
    post,
    path = "/computer/screenshot",
    operation_id = "browsers_computer_screenshot",
    tag = "browsers/computer",
    request_body = Option<ScreenshotRequest>,
    responses(
        (
            status = 200,
            description = "The picture.",
            content((Vec<u8> = "image/png"), (Vec<u8> = "image/jpeg")),
        ),
        Refusals, BodyRefusals,
    ),
)]
pub(super) async fn screenshot(
    State(computer): State<Computer>,
    Optional(request): Optional<ScreenshotRequest>,
) -> Result<impl IntoResponse> {
    let encoding = plan(&request)?;
    let taken = computer.turn(move |hand| Box::pin(take(hand, request.region, encoding)));
    let encoded = encoded(taken, move |taken| match taken {
        Taken::Raw(picture) => encoding::encode(&picture, encoding),
        Taken::Base64(text) => {
            base64_simd::STANDARD.decode_to_vec(text.as_bytes()).map_err(std::io::Error::other)
        }
    });
    let bytes = encoded.await?.map_err(Error::internal)?;
    let headers = [(CONTENT_TYPE, encoding.content_type()), (CACHE_CONTROL, "no-store")];
    Ok((headers, bytes))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn few_pictures_wait_to_be_encoded() {
        let waiting = Arc::new(AtomicUsize::new(0));
        let one = |given_up: bool| {
            let waiting = Arc::clone(&waiting);
            tokio::spawn(async move {
                let taken = async {
                    assert!(waiting.fetch_add(1, Ordering::SeqCst) < 4, "too many are in memory");
                    Ok(Arc::clone(&waiting))
                };
                let encoded = encoded(taken, |waiting| waiting.fetch_sub(1, Ordering::SeqCst));
                match given_up {
                    true => drop(encoded.now_or_never()),
                    false => _ = encoded.await.unwrap(),
                }
            })
        };
        let all: Vec<_> = (0..200).map(|nth| one(nth % 2 == 0)).collect();
        for one in all {
            one.await.unwrap();
        }
    }
}
