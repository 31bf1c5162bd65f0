//! The program that runs the conformance cases' stages on the nodes of a cluster.

use curator::worker::serve_if_asked;

fn main() {
    serve_if_asked(&curator::backends::conformance::registry());
}
