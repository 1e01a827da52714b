"""Stacks choose ports before they bind them, and let go of them for a while when something restarts: nobody else may have them."""
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[3]
PORTS = 2000


def choosing(tree):
    """A stack of this tree that chooses many ports and binds none."""
    script = '. "$1"/scripts/lib/stack.sh; ROOT=$2; choose_ports $(seq -f PORT_%g "$3")'
    return subprocess.Popen(["bash", "-c", script, "bash", ROOT, tree, str(PORTS)], stdout=subprocess.PIPE, text=True)


def chosen(stack):
    said, _ = stack.communicate(timeout=60)
    assert stack.returncode == 0
    return {line.split("=")[1] for line in said.splitlines()}


def test_stacks_that_choose_at_the_same_time_choose_other_ports(tmp_path):
    found = [chosen(stack) for stack in [choosing(tmp_path) for _ in range(3)]]
    assert [len(ports) for ports in found] == [PORTS] * 3
    assert len(set.union(*found)) == 3 * PORTS


def test_what_was_left_half_written_is_passed_over(tmp_path):
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "ports").write_text("12345 1\n23456")
    assert len(chosen(choosing(tmp_path))) == PORTS
