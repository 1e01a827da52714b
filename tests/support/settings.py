"""Settings of a component test's own, for programs beside the services that tests/support/with-services gave it."""
import os
import pathlib
import subprocess

REGION = "cn-hangzhou"
BIN = pathlib.Path(os.environ["TRAILBUS_BUILD"]) / "bin"


def written(folder, partitions, redis="unix:/none"):
    """A trailbus.conf in this folder whose topics are there."""
    (folder / "master.key").write_text("0" * 64)
    file = folder / "trailbus.conf"
    file.write_text(f"""bus: {{ brokers = "{os.environ['TRAILBUS_KAFKA']}"; }};
state: {{ redis = "{redis}"; }};
topology: {{ regions = ["{REGION}"]; partitions = {partitions}; }};
security: {{ master_key_file = "{folder}/master.key"; }};
""")
    subprocess.run([BIN / "trailctl", "topics", "apply", "--config", file], check=True, timeout=120)
    return file
