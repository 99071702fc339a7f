use super::*;
use crate::faces::SearchNetwork;

const WIDE: Size = Size { width: 96, height: 64 };
const TALL: Size = Size { width: 64, height: 96 };

#[test]
fn users_share_plans_and_a_plan_ends_with_its_last_user() {
    let mut one = Plans::from_bytes(SearchNetwork::BUILT_IN).unwrap();
    let mut other = one.clone();
    assert!(one.keep(WIDE).unwrap() && !other.keep(WIDE).unwrap() && other.keep(TALL).unwrap());
    assert!(Arc::ptr_eq(one.plan(WIDE).unwrap(), other.plan(WIDE).unwrap()));
    // So many other sizes that `one` does not keep the first any more.
    for width in 1..=MAX_PLANS as i32 {
        one.keep(Size::new(32 * width, 32)).unwrap();
    }
    assert_eq!((one.plans.len(), one.plans.iter().any(|plan| plan.size == WIDE)), (MAX_PLANS, false));
    assert!(!one.keep(WIDE).unwrap(), "the other user has it");
    drop(other);
    assert!(one.keep(TALL).unwrap(), "nobody has it any more");
}

#[test]
fn several_threads_run_one_plan_at_once() {
    let picture = |first: u8| -> Vec<Vec3b> {
        let pixel = |n: i32| [n as u8 ^ first, (n / 7) as u8, first].into();
        (0..WIDE.area()).map(pixel).collect()
    };
    let mut alone = Plans::from_bytes(SearchNetwork::BUILT_IN).unwrap();
    let heat_of = |plans: &mut Plans, first| {
        let run = plans.begin(WIDE, &picture(first)).and_then(Run::finish).unwrap();
        run.read(|maps| maps.heat.to_vec()).unwrap()
    };
    let expected: Vec<_> = (0..4).map(|first| heat_of(&mut alone, first)).collect();
    assert_ne!(expected[0], expected[1]);
    let together: Vec<_> = std::thread::scope(|scope| {
        let user = |first| {
            let mut plans = alone.clone();
            scope.spawn(move || (0..5).map(|_| heat_of(&mut plans, first)).collect::<Vec<_>>())
        };
        (0..4).map(user).collect::<Vec<_>>().into_iter().map(|user| user.join().unwrap()).collect()
    });
    for (heat, expected) in together.iter().zip(expected) {
        assert!(heat.iter().all(|heat| *heat == expected));
    }
}
