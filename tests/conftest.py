"""What holds for the processes that any test starts."""

import os
from pathlib import Path

os.environ["SPARK_CONF_DIR"] = str(Path(__file__).parent / "spark" / "conf")
