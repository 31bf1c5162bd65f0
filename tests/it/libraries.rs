//! Libraries that are imported before workers are forked, and work in them.

use std::collections::BTreeSet;
use std::time::Duration;

use curator::{ExecutorExt, PythonStage, RuntimeEnv, Task};
use serde_json::json;

use crate::support::{local, pipeline};

/// What to install, how a stage's file begins, and some work, which is a number or a text.
const LIBRARIES: [(&str, &str, &str); 16] = [
    ("numpy", "import numpy", "float(numpy.linalg.svd(numpy.eye(50))[1].sum())"),
    ("pandas", "import pandas", "int(pandas.DataFrame({'a': [1, 2]}).groupby('a').size().sum())"),
    ("polars", "import polars", "polars.DataFrame({'a': [1, 1]}).group_by('a').len()['len'][0]"),
    // What works at its top works after the fork.
    (
        "polars",
        "import polars\nTOP = polars.DataFrame({'a': [1, 1]}).group_by('a').len()",
        "TOP['len'][0]",
    ),
    (
        "pyarrow",
        "import pyarrow\nimport pyarrow.compute",
        "pyarrow.compute.sum(pyarrow.array(range(9))).as_py()",
    ),
    (
        "scikit-learn",
        "from sklearn import cluster",
        "int(cluster.KMeans(2, n_init=1).fit([[0.0], [1.0], [9.0]]).labels_.max())",
    ),
    (
        "scipy",
        "import scipy.sparse.linalg",
        "float(scipy.sparse.linalg.norm(scipy.sparse.eye(9, format='csr')))",
    ),
    ("grpcio", "import grpc", "str(type(grpc.insecure_channel('localhost:1')))"),
    ("duckdb", "import duckdb", "int(duckdb.sql('select 42').fetchall()[0][0])"),
    (
        "tokenizers",
        "from tokenizers import Tokenizer, models",
        "Tokenizer(models.BPE()).get_vocab_size()",
    ),
    ("lxml", "from lxml import etree", "etree.fromstring('<a/>').tag"),
    ("pillow", "from PIL import Image", "Image.new('RGB', (9, 9)).size[0]"),
    (
        "opencv-python-headless",
        "import cv2\nimport numpy",
        "cv2.blur(numpy.ones((9, 9)), (3, 3)).size",
    ),
    ("jax", "import jax.numpy", "float(jax.numpy.ones((9, 9)).sum())"),
    ("numba", "import numba", "int(numba.njit(lambda n: n + 1)(1))"),
    ("dask[array]", "import dask.array", "int(dask.array.ones(9).sum().compute())"),
];

#[test]
fn what_is_imported_before_a_fork_works_in_the_workers() {
    let is_whole = std::env::var_os("CURATOR_TEST_ALL").is_some();
    for (package, head, work) in LIBRARIES.into_iter().take(if is_whole { usize::MAX } else { 1 }) {
        let text = format!(
            "{head}
import os, time
class Stage:
    def process(self, task):
        time.sleep(0.05)
        return {{'who': os.getpid(), 'work': {work}}}
"
        );
        let stage = PythonStage::from_source(text, "Stage")
            .with_name("stage")
            .with_runtime_env(RuntimeEnv::uv([package]))
            .with_num_workers(2)
            .with_task_timeout(Duration::from_mins(1));
        let tasks = vec![Task::new(json!({})); 20];
        let report = local().run(&pipeline([stage]), tasks);
        let report = report.unwrap_or_else(|error| panic!("{package}: {}", error.report()));
        let stage = &report.stages[0];
        assert_eq!((stage.forked, stage.workers), (2, 2), "{package}: {:?}", stage.not_forked);
        let said = |key: &str| -> BTreeSet<String> {
            let values = report.outputs.iter().filter_map(|task| task.data.as_json());
            values.map(|value| value[key].to_string()).collect()
        };
        assert_eq!((said("who").len(), said("work").len()), (2, 1), "{package}");
    }
}

/// What differs among processes that are started differs among workers that are forked.
#[test]
fn random_numbers_of_libraries_differ_among_forked_workers() {
    let text = "
import numpy
class Stage:
    def setup(self):
        self.own = float(numpy.random.random())
    def process(self, task):
        import time
        time.sleep(0.05)
        return {'own': self.own}
";
    let stage = PythonStage::from_source(text, "Stage")
        .with_name("stage")
        .with_runtime_env(RuntimeEnv::uv(["numpy"]))
        .with_num_workers(2);
    let report = local().run(&pipeline([stage]), vec![Task::new(json!({})); 20]).unwrap();
    assert_eq!(report.stages[0].forked, 2);
    let values = report.outputs.iter().filter_map(|task| task.data.as_json());
    let own: BTreeSet<String> = values.map(|value| value["own"].to_string()).collect();
    assert_eq!(own.len(), 2);
}
