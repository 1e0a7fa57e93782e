//! Tests of searches over a network whose best settings can be computed by hand.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::data::Weighted;
use crate::testing::{Line, Points};
use crate::{Standardizer, Trainer};

/// y = 3x − 1 at x = ±1, as often above as below, so that the loss is (w − 3)² + (b + 1)² on every balanced part: one step of
/// gradient descent over such a part leaves (1 − 2·rate)² of it, and it begins at 10.
fn balanced() -> (Points, KFold) {
    let x: Vec<f32> = (0..12).map(|i| if i % 2 == 0 { 1.0 } else { -1.0 }).collect();
    let folds = KFold::stratified(3, &x.iter().map(|x| *x as i32).collect::<Vec<_>>());
    (Points { y: x.iter().map(|x| 3.0 * x - 1.0).collect(), x }, folds)
}

fn one_step() -> Trainer<Line> {
    Trainer::new().batch(100).epochs(1)
}

fn search<'a>(points: &'a Points, folds: KFold) -> CrossValidation<'a> {
    let candidate = Candidate::<Line>::new("line", points).trainer(one_step());
    CrossValidation::new(folds).candidate(candidate).progress(Progress::Silent)
}

fn all_of(results: &SearchResults) -> [String; 3] {
    [results.to_string(), results.csv(), results.json_lines()]
}

#[test]
fn the_best_rate_is_found() {
    let (points, folds) = balanced();
    let rates = [0.125, 0.25, 0.5, 0.75];
    let results = search(&points, folds).search(&GridSearch::new().values("learning_rate", rates)).unwrap();
    for (row, rate) in results.rows.iter().zip(rates) {
        assert_eq!(row.mean("loss"), Some(10.0 * (1.0 - 2.0 * rate) * (1.0 - 2.0 * rate)));
        assert_eq!(row.standard_deviation("loss"), Some(0.0));
    }
    let best = results.best().unwrap();
    assert_eq!(best.hyperparameters.float("learning_rate").unwrap(), 0.5);
    assert_eq!(results.rows.iter().map(|row| row.rank).collect::<Vec<_>>(), [4, 2, 1, 2].map(Some));
    let expected = "\
rank  candidate  learning_rate  mean loss  std
1     line       0.5            0.00000    0.00000
2     line       0.25           2.50000    0.00000
2     line       0.75           2.50000    0.00000
4     line       0.125          5.62500    0.00000
";
    assert_eq!(results.to_string(), expected);
    // What was found is trained with again.
    let trainer = best.hyperparameters.apply(one_step()).unwrap().progress(Progress::Silent);
    assert!(trainer.fit(&points, &points).unwrap().history.epochs[0].validation.loss < 1e-12);
}

#[test]
fn tables_hold_all_numbers() {
    let (points, folds) = balanced();
    let results = search(&points, folds).search(&GridSearch::new().values("learning_rate", [0.25, 0.5])).unwrap();
    let csv = "\
rank,candidate,learning_rate,mean_loss,std_loss,mean_close,std_close,fold_1,fold_2,fold_3,failed
1,line,0.5,0,0,1,0,0,0,0,
2,line,0.25,2.5,0,0,0,2.5,2.5,2.5,
";
    assert_eq!(results.csv(), csv);
    let lines = results.json_lines();
    let line: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!(line["hyperparameters"]["learning_rate"], 0.5);
    assert_eq!((&line["mean"]["close"], &line["rank"]), (&1.0.into(), &1.into()));
    assert_eq!(line["folds"][2], serde_json::json!({ "loss": 0.0, "close": 1.0, "epochs": 1 }));
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in ["a.txt", "deep/a.csv", "a.jsonl"].into_iter().zip(all_of(&results)) {
        results.save(folder.path().join(name)).unwrap();
        assert_eq!(fs::read_to_string(folder.path().join(name)).unwrap(), text);
    }
}

/// Means and deviations of scores 1, 2, 6 are 3 and √(14/3), as numpy.std has it.
#[test]
fn deviations_are_those_of_the_population() {
    let score = |loss| Outcome::Finished(Score { loss, metrics: vec![], epochs: 1, seconds: 0.0 });
    let row = |candidate: &str, folds| {
        let (candidate, hyperparameters) = (candidate.to_owned(), HyperParameters::default());
        ResultRow { rank: None, candidate, hyperparameters, folds }
    };
    let failed = Outcome::Failed("because, \"so\"".to_owned());
    let rows = vec![
        row("nan", vec![score(f64::NAN), score(1.0), score(1.0)]),
        row("bad", vec![score(0.0), failed, score(0.0)]),
        row("good", vec![score(1.0), score(2.0), score(6.0)]),
    ];
    let results = SearchResults::new(rows, Monitor::loss());
    let best = results.best().unwrap();
    assert_eq!((best.candidate.as_str(), best.mean("loss"), best.mean("none")), ("good", Some(3.0), None));
    assert_eq!(best.standard_deviation("loss"), Some((14.0_f64 / 3.0).sqrt()));
    assert_eq!(results.rows[1].failure(), Some("because, \"so\""));
    assert!(results.csv().ends_with(",bad,,,0,,0,\"because, \"\"so\"\"\"\n"), "{}", results.csv());
    let text = results.to_string();
    assert!(text.contains("1     good       3.00000    2.16025\n"), "{text}");
    assert!(
        text.contains("-     nan        not finite\n") && text.ends_with("-     bad        because, \"so\"\n"),
        "{text}"
    );
}

#[test]
fn a_trial_that_diverges_stops_no_other() {
    let (points, folds) = balanced();
    let grid = GridSearch::new().values("learning_rate", [1e30, 0.5]).values("epochs", [3]);
    let results = search(&points, folds).workers(2).search(&grid).unwrap();
    assert_eq!((results.rows[0].rank, results.rows[1].rank), (None, Some(1)));
    let reason = results.rows[0].failure().unwrap();
    assert!(reason.contains("overflowed") && reason.contains("epoch"), "{reason}");
    assert_eq!(results.ranked()[1].candidate, "line");
}

/// Points that no line goes through, so that shuffling, folds and seeds all show in the bits.
fn crooked() -> Points {
    Points {
        x: (0..30).map(|i| (i as f32 * 0.37).sin()).collect(),
        y: (0..30).map(|i| (i as f32 * 1.7).cos()).collect(),
    }
}

fn crooked_space() -> RandomSearch {
    RandomSearch::new(6)
        .seed(4)
        .log_uniform("learning_rate", 1e-3, 0.3)
        .integer("batch", 1, 9)
        .choice("momentum", [0.0, 0.5])
}

#[test]
fn workers_and_threads_change_no_bit_and_seeds_do() {
    let points = crooked();
    let run = |workers, threads, seed| {
        let search = search(&points, KFold::new(3)).candidate(Candidate::<Line>::new("own", &points));
        all_of(&search.workers(workers).threads(threads).seed(seed).search(&crooked_space()).unwrap())
    };
    let expected = run(1, 1, 0);
    assert_eq!(expected[1].lines().count(), 13);
    for (workers, threads) in [(2, 1), (7, 1), (2, 2)] {
        assert_eq!(run(workers, threads, 0), expected);
    }
    assert_ne!(run(1, 1, 1), expected);
}

#[test]
fn a_killed_search_goes_on_to_the_same_table() {
    let (folder, points) = (tempfile::tempdir().unwrap(), crooked());
    let path = folder.path().join("made/search.jsonl");
    let trained = AtomicUsize::new(0);
    let run = |workers, journal: Option<&Path>| {
        trained.store(0, Ordering::Relaxed);
        let candidate = Candidate::<Line>::new("line", &points).preprocess(|_, _| {
            trained.fetch_add(1, Ordering::Relaxed);
            Ok(())
        });
        let mut search = CrossValidation::new(KFold::new(3)).progress(Progress::Silent).workers(workers);
        search.journal = journal.map(Path::to_path_buf);
        let results = search.candidate(candidate).search(&crooked_space()).unwrap();
        (results, trained.load(Ordering::Relaxed))
    };
    let (expected, all) = run(1, None);
    assert_eq!(all, 18);
    let (found, _) = run(2, Some(&path));
    assert_eq!(all_of(&found), all_of(&expected));
    // Everything is there: nothing is done again, and even the times are those of the first run.
    assert_eq!(run(1, Some(&path)), (found, 0));
    let whole = fs::read(&path).unwrap();
    for end in (0..whole.len()).step_by(61).chain([1, whole.len() - 1]) {
        fs::write(&path, &whole[..end]).unwrap();
        let complete = whole[..end].iter().filter(|&&byte| byte == b'\n').count();
        let (found, trained) = run(2, Some(&path));
        assert_eq!(all_of(&found), all_of(&expected));
        assert_eq!(trained, 18 - complete.saturating_sub(1), "cut at {end}");
        assert_eq!(fs::read(&path).unwrap().iter().filter(|&&byte| byte == b'\n').count(), 19);
    }
}

#[test]
fn a_search_may_grow() {
    let (folder, points) = (tempfile::tempdir().unwrap(), crooked());
    let path = folder.path().join("search.jsonl");
    let lines = || fs::read_to_string(&path).unwrap().lines().count();
    let small = || search(&points, KFold::new(2)).journal(&path);
    small().search(&crooked_space()).unwrap();
    assert_eq!(lines(), 1 + 12);
    small().search(&crooked_space().trials(8)).unwrap();
    assert_eq!(lines(), 1 + 16);
    let two = small().candidate(Candidate::<Line>::new("own", &points));
    let found = two.search(&crooked_space().trials(8)).unwrap();
    assert_eq!(lines(), 1 + 32);
    let at_once = search(&points, KFold::new(2)).candidate(Candidate::<Line>::new("own", &points));
    assert_eq!(all_of(&found), all_of(&at_once.search(&crooked_space().trials(8)).unwrap()));
}

#[test]
fn the_file_of_another_search_is_an_error() {
    let (folder, points) = (tempfile::tempdir().unwrap(), crooked());
    let path = folder.path().join("search.jsonl");
    let grid = || GridSearch::new().values("learning_rate", [0.01, 0.1]);
    let with = |points| search(points, KFold::new(2)).journal(&path);
    with(&points).search(&grid()).unwrap();
    let message = |search: CrossValidation<'_>, grid: GridSearch| {
        let error = search.search(&grid).unwrap_err();
        assert!(matches!(error, SearchError::OtherSearch { .. }), "{error}");
        error.to_string().replace(&path.display().to_string(), "file")
    };
    let of = |what: &str| format!("file is of another search: its {what}");
    assert_eq!(message(with(&points).seed(7), grid()), of("seed is 0, expected 7"));
    let other = search(&points, KFold::new(3)).journal(&path);
    assert_eq!(message(other, grid()), of("number of folds is 2, expected 3"));
    let other = search(&points, KFold::new(2).seed(1)).journal(&path);
    assert!(message(other, grid()).starts_with(&of("hash of the positions in all folds is ")));
    let mut changed = points.clone();
    changed.y[29] += 1e-6;
    assert!(message(with(&changed), grid()).starts_with(&of("hash of the data of candidate `line` is ")));
    let weighted = Weighted::new(&points, vec![1.0; 30]).unwrap();
    let candidate = Candidate::<Line>::new("line", &weighted).trainer(one_step());
    let other = CrossValidation::new(KFold::new(2)).candidate(candidate).journal(&path);
    assert!(message(other, grid()).starts_with(&of("hash of the data of candidate `line` is ")));
    let candidate = Candidate::<Line>::new("line", &points).trainer(one_step().epochs(2));
    let other = CrossValidation::new(KFold::new(2)).candidate(candidate).journal(&path);
    let expected = of("hash of the settings of candidate `line` with learning_rate: 0.01 is ");
    assert!(message(other, grid()).starts_with(&expected));
    let other = CrossValidation::new(KFold::new(2)).candidate(Candidate::<Line>::new("row", &points)).journal(&path);
    assert_eq!(message(other, grid()), of("candidate is `line`, expected `row`"));
    let expected = "trial is candidate `line` with learning_rate: 0.01, fold 1, expected one that is to be done";
    assert_eq!(message(with(&points), GridSearch::new().values("learning_rate", [0.1])), of(expected));
}

#[test]
fn a_file_that_is_no_journal_stays_as_it_is() {
    let (folder, points) = (tempfile::tempdir().unwrap(), crooked());
    let path = folder.path().join("notes.txt");
    let run = || search(&points, KFold::new(2)).journal(&path).cross_validate();
    let begun = {
        run().unwrap();
        fs::read_to_string(&path).unwrap()
    };
    let header = begun.lines().next().unwrap();
    for (text, line, expected) in [
        ("my notes".to_owned(), 1, "the first line of a file of finished trials"),
        ("my\nnotes\n".to_owned(), 1, "the first line of a file of finished trials"),
        ("{}\n".to_owned(), 1, "the first line of a file of finished trials"),
        (format!("{header}\n{{\"candidate\": \"line\"}}\n"), 2, "a finished trial"),
        (format!("{begun}\u{1f}\nmore\n"), 4, "a finished trial"),
    ] {
        fs::write(&path, &text).unwrap();
        let error = run().unwrap_err();
        assert_eq!(error.to_string(), format!("{}, line {line}: expected {expected}", path.display()));
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
    fs::write(&path, &begun).unwrap();
    let held = fs::File::open(&path).unwrap();
    held.lock().unwrap();
    assert!(matches!(run(), Err(SearchError::InUse { .. })));
    drop(held);
    let error = search(&points, KFold::new(2)).journal(folder.path()).cross_validate().unwrap_err();
    assert!(error.to_string().contains("could not be written"), "{error}");
}

/// Standardized on the training part alone: x and y shifted by 1000 and stretched are as before.
#[test]
fn preprocessing_is_fitted_on_the_training_part() {
    let (points, folds) = balanced();
    let far = Points { x: points.x.iter().map(|x| 1000.0 + 4.0 * x).collect(), y: points.y.clone() };
    let candidate = Candidate::<Line>::new("line", &far).trainer(one_step().learning_rate(0.5));
    let candidate = candidate.preprocess(|train, validation| {
        assert_eq!((train.x.len(), validation.x.len()), (8, 4));
        let rows = |points: &Points| points.x.iter().map(|&x| [x]).collect::<Vec<_>>();
        let standardizer = Standardizer::fit(&rows(train))?;
        for part in [train, validation] {
            let mut changed = rows(part);
            standardizer.apply(&mut changed);
            part.x = changed.into_iter().map(|[x]| x).collect();
        }
        Ok(())
    });
    let results = CrossValidation::new(folds).candidate(candidate).progress(Progress::Silent).cross_validate().unwrap();
    assert!(results.rows[0].mean("loss").unwrap() < 1e-9, "{results}");
    let dropping = Candidate::<Line>::new("line", &far).preprocess(|train, _| {
        train.x.pop();
        train.y.pop();
        Ok(())
    });
    let search = CrossValidation::new(KFold::new(4)).candidate(dropping).progress(Progress::Silent);
    assert_eq!(
        search.cross_validate().unwrap_err().to_string(),
        "candidate `line` with no hyperparameters, fold 1: `the part made by preprocessing` has 8 examples, expected 9"
    );
}

/// Weights follow their examples: those that do not belong to the line count nothing.
#[test]
fn weights_and_augmentation_are_of_the_training_part() {
    let (mut points, folds) = balanced();
    let weights: Vec<f32> = (0..12).map(|i| if i < 4 { 0.0 } else { 1.0 }).collect();
    points.y[..4].copy_from_slice(&[50.0, -50.0, 50.0, -50.0]);
    let weighted = Weighted::new(&points, weights).unwrap();
    // The validation part holds none of them.
    let fold = vec![((0..8).collect(), (8..12).collect())];
    let own = || Candidate::<Line>::new("line", &weighted).trainer(one_step().learning_rate(0.5));
    for candidate in [own(), own().preprocess(|_, _| Ok(()))] {
        let search = CrossValidation::with_folds(fold.clone()).candidate(candidate).progress(Progress::Silent);
        assert_eq!(search.cross_validate().unwrap().rows[0].mean("loss"), Some(0.0));
    }
    let (points, _) = balanced();
    let shifted = |by: f32| {
        let candidate = Candidate::<Line>::new("line", &points).trainer(one_step().learning_rate(0.5));
        let candidate = candidate.augment(1, move |points, at, _| points.y[at] += by);
        let search = CrossValidation::new(folds.clone()).candidate(candidate).progress(Progress::Silent);
        search.cross_validate().unwrap().rows[0].mean("loss")
    };
    assert_eq!((shifted(0.0), shifted(2.0)), (Some(0.0), Some(4.0)));
}

#[test]
fn functions_take_what_no_network_knows() {
    let (points, folds) = balanced();
    let candidate = Candidate::<Line>::new("line", &points).trainer(one_step()).configure(|trainer, values| {
        Ok(match values.text("speed")? {
            "fast" => trainer.learning_rate(0.5),
            _ => trainer.learning_rate(0.25),
        })
    });
    let search = CrossValidation::new(folds).candidate(candidate).progress(Progress::Silent);
    let results = search.search(&GridSearch::new().values("speed", ["slow", "fast"])).unwrap();
    assert_eq!(results.best().unwrap().hyperparameters.text("speed").unwrap(), "fast");
    let error = search.search(&GridSearch::new().values("pace", ["slow"])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "candidate `line` with pace: slow: there is no hyperparameter `speed`, expected `pace`"
    );
}

#[test]
fn all_names_reach_their_settings() {
    let grid = GridSearch::new().values("learning_rate", [0.25]).values("momentum", [0.5]).values("weight_decay", [0]);
    let grid = grid.values("batch", [3]).values("epochs", [7]).values("patience", [2]).values("accumulate", [4]);
    let grid = grid.values("ema", [0.75]).values("clip_global_norm", [2.0]);
    let values = &grid.points().unwrap()[0];
    let mut trainer = values.apply(Trainer::<Line>::new()).unwrap();
    let rule = dl_runtime::Sgd { learning_rate: 0.25, momentum: 0.5, nesterov: false, weight_decay: 0.0 };
    let clip = dl_runtime::Clip::GlobalNorm(2.0);
    let options = dl_runtime::Options { clip, accumulate: 4, ema: Some(0.75), ..dl_runtime::Options::new() };
    let expected =
        dl_runtime::Settings { batch: 3, epochs: 7, patience: Some(2), options, ..dl_runtime::Settings::new(rule) };
    assert_eq!(*trainer.settings_mut(), expected);
    for (name, clip) in [("clip_value", dl_runtime::Clip::Value(3.0)), ("clip_norm", dl_runtime::Clip::Norm(3.0))] {
        let values = &GridSearch::new().values(name, [3]).points().unwrap()[0];
        assert_eq!(values.apply(Trainer::<Line>::new()).unwrap().settings_mut().options.clip, clip);
    }
}

#[test]
fn what_cannot_be_searched_is_an_error_before_any_trial() {
    let points = crooked();
    let grid = || GridSearch::new().values("learning_rate", [0.1]);
    let empty = CrossValidation::new(KFold::new(2));
    let message = |search: &CrossValidation<'_>, grid: GridSearch| search.search(&grid).unwrap_err().to_string();
    assert_eq!(message(&empty, grid()), "the list of candidates is empty, expected at least 1 candidate");
    let one = || search(&points, KFold::new(2));
    assert_eq!(message(&one(), GridSearch::new()), "the grid is empty, expected at least 1 hyperparameter");
    assert_eq!(
        message(&one().candidate(Candidate::<Line>::new("line", &points)), grid()),
        "there are two candidates named `line`, expected different names"
    );
    let fewer = Points::new(5, |x| x);
    assert_eq!(
        message(&one().candidate(Candidate::<Line>::new("five", &fewer)), grid()),
        "candidate `five` has 5 examples, expected 30"
    );
    assert_eq!(
        message(&search(&points, KFold::new(1)), grid()),
        "there are 1 folds, expected from 2 to the number of examples, 30"
    );
    assert_eq!(
        message(&one(), GridSearch::new().values("rate", [0.1])),
        "candidate `line` with rate: 0.1: `Line` has no hyperparameter `rate`, expected one of `learning_rate`, `momentum`, \
         `weight_decay`, `batch`, `epochs`, `patience`, `accumulate`, `ema`, `clip_value`, `clip_norm`, `clip_global_norm`, \
         or a function that takes it"
    );
    assert_eq!(
        message(&one(), GridSearch::new().values("batch", [8, 0])),
        "candidate `line` with batch: 0: `batch` is 0, expected at least 1"
    );
    assert_eq!(
        message(&one(), GridSearch::new().values("batch", [0.5])),
        "candidate `line` with batch: 0.5: `batch` is a number (0.5), expected a whole number of at least 0"
    );
    assert_eq!(
        message(&one(), GridSearch::new().values("momentum", [1.5])),
        "candidate `line` with momentum: 1.5: `momentum` of `sgd` is a number from 0 up to, not including, 1, found 1.5"
    );
    assert_eq!(message(&one().workers(0), grid()), "`workers` is 0, expected from 1 to 1024");
    assert_eq!(message(&one().threads(1025), grid()), "`threads` is 1025, expected from 1 to 1024");
    assert_eq!(message(&one().monitor(Monitor::highest("far")), grid()), "there is no metric `far`, expected close");
    let weights = Candidate::<Line>::new("line", &points).trainer(one_step().example_weights([1.0; 30]));
    let error = message(&CrossValidation::new(KFold::new(2)).candidate(weights), grid());
    assert!(error.contains("`example_weights` is given, expected none"), "{error}");
    struct Nothing;
    impl SearchSpace for Nothing {
        fn points(&self) -> Result<Vec<HyperParameters>, SearchError> {
            Ok(Vec::new())
        }
    }
    assert_eq!(
        one().search(&Nothing).unwrap_err().to_string(),
        "the search is empty, expected at least 1 set of hyperparameters"
    );
}

#[test]
fn other_errors_of_a_trial_end_the_search() {
    let mut points = crooked();
    points.y.pop();
    let error = search(&points, KFold::new(3)).workers(2).cross_validate().unwrap_err();
    assert_eq!(
        error.to_string(),
        "candidate `line` with no hyperparameters, fold 1: position 29 is past the end of 30 examples"
    );
}

#[test]
fn metrics_rank_as_their_direction_says() {
    let (points, folds) = balanced();
    let by = |monitor| {
        let grid = GridSearch::new().values("learning_rate", [0.25, 0.5]);
        let results = search(&points, folds.clone()).monitor(monitor).search(&grid).unwrap();
        results.best().unwrap().hyperparameters.float("learning_rate").unwrap()
    };
    assert_eq!((by(Monitor::highest("close")), by(Monitor::lowest("close"))), (0.5, 0.25));
}
