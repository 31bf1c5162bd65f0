"""One stage of the documented example as a program: a task comes in as JSON, and goes out."""

import json
import sys

import packaging

data = json.load(sys.stdin)
data[sys.argv[1]] = packaging.__version__
json.dump(data, sys.stdout)
