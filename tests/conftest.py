"""What holds for the processes that any test starts."""

import os

import jvm

os.environ["SPARK_SUBMIT_OPTS"] = jvm.driver_options()
