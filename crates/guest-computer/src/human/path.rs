//! Ways of the mouse from one point to the next.

use std::f64::consts::TAU;
use std::time::Duration;

use fastrand::Rng;

use crate::point::{Point, Size};

/// Time between two moves: mice report 125 times a second.
const REPORT: Duration = Duration::from_millis(8);
/// Most moves of one way, whatever its duration.
const STEPS_LIMIT: usize = 1250;

/// One move of the mouse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    /// How long to wait before it.
    pub(crate) after: Duration,
    /// Where it goes.
    pub(crate) to: Point,
    /// It must not be left out, even by one who is late.
    pub(crate) firm: bool,
}

/// A curve through `points`, the first of which is where the mouse is. Ends exactly at the last,
/// passes through every other, never leaves the screen, and takes `duration` exactly where one is
/// given.
pub(crate) fn smooth(
    points: &[Point],
    screen: Size,
    duration: Option<Duration>,
    rng: &mut Rng,
) -> Vec<Step> {
    let lengths: Vec<f64> = points.windows(2).map(|pair| pair[0].distance(pair[1])).collect();
    let length: f64 = lengths.iter().sum();
    let total = duration.unwrap_or_else(|| natural(length));
    let count = steps(total).max(lengths.len());
    let mut places = Vec::with_capacity(count);
    for (index, (pair, own)) in points.windows(2).zip(&lengths).enumerate() {
        let share = if length > 0.0 { own / length } else { 1.0 / lengths.len() as f64 };
        // Every stretch has one step at least, its end.
        let left = lengths.len() - 1 - index;
        let room = count.saturating_sub(places.len() + left).max(1);
        let wanted = if left == 0 { room } else { (share * count as f64).round() as usize };
        curve(pair[0], pair[1], wanted.clamp(1, room), screen, rng, &mut places);
    }
    timed(&places, total, rng)
}

/// A straight way through `points` in `steps` moves each, `pause` between them.
pub(crate) fn line(points: &[Point], steps: u32, pause: Duration) -> Vec<Step> {
    let steps = steps.max(1);
    let mut way = Vec::new();
    for pair in points.windows(2) {
        for step in 1..=steps {
            let share = f64::from(step) / f64::from(steps);
            let after = if way.is_empty() { Duration::ZERO } else { pause };
            way.push(Step { after, to: between(pair[0], pair[1], share), firm: true });
        }
    }
    way
}

/// How long a hand takes for a distance: far is not much longer than near.
fn natural(length: f64) -> Duration {
    Duration::from_secs_f64((0.08 + 0.018 * length.sqrt()).clamp(0.08, 1.2))
}

fn steps(total: Duration) -> usize {
    let steps = total.as_micros() / REPORT.as_micros();
    usize::try_from(steps).unwrap_or(STEPS_LIMIT).clamp(1, STEPS_LIMIT)
}

fn between(from: Point, to: Point, share: f64) -> Point {
    let at = |a: i32, b: i32| (f64::from(a) + f64::from(b - a) * share).round() as i32;
    Point { x: at(from.x, to.x), y: at(from.y, to.y) }
}

/// A cubic Bézier curve with two random knots beside the straight way, slow at both ends, with a
/// tremble that is gone at the end.
fn curve(
    from: Point,
    to: Point,
    count: usize,
    screen: Size,
    rng: &mut Rng,
    places: &mut Vec<(Point, bool)>,
) {
    let (dx, dy) = (f64::from(to.x - from.x), f64::from(to.y - from.y));
    let length = dx.hypot(dy);
    let spread = (length * 0.15).min(80.0);
    let mut knot = |along: f64| {
        let aside = (rng.f64() * 2.0 - 1.0) * spread;
        let (nx, ny) = if length > 0.0 { (-dy / length, dx / length) } else { (0.0, 0.0) };
        (f64::from(from.x) + dx * along + nx * aside, f64::from(from.y) + dy * along + ny * aside)
    };
    let (first, second) = (knot(0.3), knot(0.7));
    let tremble = (length / 200.0).min(1.0);
    for step in 1..count {
        let time = step as f64 / count as f64;
        // Smoothstep: speed is nought at both ends.
        let t = time * time * (3.0 - 2.0 * time);
        let u = 1.0 - t;
        let mix = |a: f64, b: f64, c: f64, d: f64| {
            u * u * u * a + 3.0 * u * u * t * b + 3.0 * u * t * t * c + t * t * t * d
        };
        let (jx, jy) = gauss(rng);
        let fade = tremble * (1.0 - time);
        let x = mix(f64::from(from.x), first.0, second.0, f64::from(to.x)) + jx * fade;
        let y = mix(f64::from(from.y), first.1, second.1, f64::from(to.y)) + jy * fade;
        places.push((Point { x: x.round() as i32, y: y.round() as i32 }.inside(screen), false));
    }
    places.push((to, true));
}

/// Two independent values of a normal distribution, deviation 0.5.
fn gauss(rng: &mut Rng) -> (f64, f64) {
    let radius = 0.5 * (-2.0 * (1.0 - rng.f64()).ln()).sqrt();
    let angle = TAU * rng.f64();
    (radius * angle.cos(), radius * angle.sin())
}

/// Spreads `total` over the places, not quite evenly; the sum is exact.
fn timed(places: &[(Point, bool)], total: Duration, rng: &mut Rng) -> Vec<Step> {
    let weights: Vec<f64> = places.iter().map(|_| 0.7 + 0.6 * rng.f64()).collect();
    let sum: f64 = weights.iter().sum();
    let (mut passed, mut told) = (0.0, Duration::ZERO);
    let last = places.len().saturating_sub(1);
    let step = |(index, (&(to, firm), weight)): (usize, (&(Point, bool), f64))| {
        passed += weight;
        let until = if index == last { total } else { total.mul_f64((passed / sum).min(1.0)) };
        let after = until.saturating_sub(told);
        told = until;
        Step { after, to, firm }
    };
    places.iter().zip(weights).enumerate().map(step).collect()
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;
    use proptest::prelude::*;

    use super::*;

    const SCREEN: Size = Size { width: 1280, height: 800 };

    fn point() -> impl Strategy<Value = Point> {
        (0..SCREEN.width, 0..SCREEN.height).prop_map(|(x, y)| Point { x, y })
    }

    fn total(way: &[Step]) -> Duration {
        way.iter().map(|step| step.after).sum()
    }

    proptest! {
        #[test]
        fn a_smooth_way_ends_at_its_target_and_stays_inside(
            points in proptest::collection::vec(point(), 2..30),
            duration in proptest::option::of(50u64..=10_000),
            seed: u64,
        ) {
            let duration = duration.map(Duration::from_millis);
            let way = smooth(&points, SCREEN, duration, &mut Rng::with_seed(seed));
            prop_assert_eq!(way.last().map(|step| step.to), points.last().copied());
            prop_assert!(way.iter().all(|step| SCREEN.contains(step.to)));
            let mut ahead = way.iter();
            for wanted in &points[1..] {
                prop_assert!(ahead.any(|step| step.to == *wanted && step.firm));
            }
            match duration {
                Some(duration) => prop_assert_eq!(total(&way), duration),
                None => prop_assert!(total(&way) <= Duration::from_millis(1200)),
            }
            prop_assert!(way.len() <= STEPS_LIMIT.max(points.len()));
            let again = smooth(&points, SCREEN, duration, &mut Rng::with_seed(seed));
            prop_assert_eq!(way, again);
        }

        #[test]
        fn a_straight_way_has_the_steps_asked_for(
            points in proptest::collection::vec(point(), 2..30),
            steps in 1u32..50,
            pause in 0u64..100,
        ) {
            let way = line(&points, steps, Duration::from_millis(pause));
            prop_assert_eq!(way.len(), (points.len() - 1) * steps as usize);
            prop_assert_eq!(way.last().map(|step| step.to), points.last().copied());
            prop_assert!(way.iter().all(|step| SCREEN.contains(step.to)));
            let expected = Duration::from_millis(pause) * (way.len() as u32 - 1);
            prop_assert_eq!(total(&way), expected);
        }
    }

    #[test]
    fn standing_still_is_a_way_too() {
        let here = Point { x: 5, y: 5 };
        let way = smooth(&[here, here], SCREEN, None, &mut Rng::with_seed(1));
        assert!(way.iter().all(|step| step.to == here));
    }
}
