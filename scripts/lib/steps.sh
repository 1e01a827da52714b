# shellcheck shell=bash
# One step after the other, with progress and time; a step that fails says why and what to do.
#
#   steps_begin TOTAL LOGS         TOTAL steps follow; the output of each goes to a file in LOGS
#   step TITLE ADVICE COMMAND…     runs it; when it fails, prints its last lines and ADVICE, and exits
#   at_once COMMAND COMMAND…       runs commands of one word side by side; fails if one of them does

steps_begin() {
    STEPS_DONE=0 STEPS_TOTAL=$1 STEPS_LOGS=$2
    mkdir -p "$STEPS_LOGS"
}

step() {
    local title=$1 advice=$2 since=$SECONDS log
    shift 2
    STEPS_DONE=$((STEPS_DONE + 1))
    log=$STEPS_LOGS/step-$STEPS_DONE.log
    local label="[$STEPS_DONE/$STEPS_TOTAL] $title"

    # A process group of its own, so that Ctrl-C ends all of it.
    set -m
    (set -eu; "$@") > "$log" 2>&1 < /dev/null &
    local pid=$!
    set +m
    trap 'kill -- -'"$pid"' 2> /dev/null; echo; exit 130' INT TERM
    [[ -t 1 ]] && step_progress "$pid" "$label" "$log" "$since"
    if wait "$pid"; then
        printf '%s%-62s %4d s\n' "${STEPS_CLEAR-}" "$label" $((SECONDS - since))
        trap - INT TERM
        return
    fi
    printf '%s%-62s failed\n\n' "${STEPS_CLEAR-}" "$label"
    tail -n 25 "$log" | sed 's/^/    /'
    printf '\nAll of its output: %s\nWhat to do: %s\n' "$log" "$advice"
    exit 1
} >&2

step_progress() {
    local pid=$1 label=$2 log=$3 since=$4 line width
    STEPS_CLEAR=$'\r\e[K'
    while kill -0 "$pid" 2> /dev/null; do
        width=$(tput cols 2> /dev/null || echo 80)
        line=$(tail -n 1 "$log" | tr -d '\r\033')
        line=$(printf '%s  %d s  %s' "$label" $((SECONDS - since)) "$line")
        printf '%s%s' "$STEPS_CLEAR" "${line:0:width-1}"
        sleep 0.2
    done
}

at_once() {
    local command pid pids=() failed=0
    for command in "$@"; do
        (set -eu; "$command") &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
    return $failed
}
