//! Law 5, built once: however many processes ask for an environment at the same time.

use crate::support::{Answer, PipelineFile, base, environments, fresh_cache, once};

#[test]
fn eight_processes_that_ask_at_once_build_once() {
    for (spec, version) in
        [("{ uv = [\"packaging==24.0\"] }", "24.0"), ("{ pip = [\"packaging==23.2\"] }", "23.2")]
    {
        let cache = fresh_cache();
        let file = PipelineFile::new(base(), &[("stage", spec)], &["packaging", "tqdm"]);
        let start = |_| file.command(cache.path()).stdout_capture().start().unwrap();
        let processes: Vec<duct::Handle> = (0..8).map(start).collect();
        let mut states = Vec::new();
        for process in &processes {
            let answer = Answer::read(&process.wait().unwrap().stdout);
            assert_eq!(answer.output()["stage"]["packaging"], once(version));
            states.push(answer.states()["stage"].clone());
        }
        let built = states.iter().filter(|state| *state == "built").count();
        assert_eq!((built, states.len()), (1, 8), "{states:?}");
        assert_eq!(environments(cache.path()).len(), 1);
    }
}

#[test]
fn eight_processes_that_need_the_same_managed_base_build_it_once() {
    let cache = fresh_cache();
    // Two environments over one base.
    let version = |number: usize| if number.is_multiple_of(2) { "23.2" } else { "24.0" };
    let file = |number| {
        let spec = format!("{{ uv = [\"packaging=={}\"] }}", version(number));
        let base = "{ uv = [\"packaging==26.0\"] }";
        PipelineFile::over(base, &[("stage", &spec)], &["packaging"])
    };
    let files: Vec<PipelineFile> = (0..8).map(file).collect();
    let start = |file: &PipelineFile| file.command(cache.path()).stdout_capture().start().unwrap();
    let processes: Vec<duct::Handle> = files.iter().map(start).collect();
    let mut built = 0;
    for (number, process) in processes.iter().enumerate() {
        let answer = Answer::read(&process.wait().unwrap().stdout);
        assert_eq!(answer.output()["stage"]["packaging"], once(version(number)));
        built += usize::from(answer.states()["stage"] == "built");
    }
    assert_eq!(built, 2);
    assert_eq!(environments(cache.path()).len(), 3);
}
