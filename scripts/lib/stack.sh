# shellcheck shell=bash
# The local stack: what it consists of, where it listens, how each process is started and known to be
# ready. All of its state lies in one folder (TRAILBUS_RUN, else run/), so that several stacks can run side
# by side; ports and passwords are chosen once a folder and kept in stack.env there. A service that finds one of its ports taken when
# it starts for the first time gets others.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
DEPS=$ROOT/build/deps
BUILD=${TRAILBUS_BUILD:-$ROOT/build/release}
RUN=$(realpath -m "${TRAILBUS_RUN:-$ROOT/run}")
DEFAULT_REGIONS="cn-hangzhou ap-southeast-1"

SERVICES=(redis kafka objects)
WORKERS=(normalizer delivery history insight) # one of each a region
BUCKET=audit
WATCH_ACCOUNT=1000000000000001 # canaries are its events
START_S=60 # until a process is ready
MOVES=3 # to other ports, of a service that finds some of its taken
DRAIN_S=60 # until a stopped one has ended

fail() { echo "$*" >&2; exit 1; }

# --- What was chosen once --------------------------------------------------------------------------------

variable() { local v=${1^^}; echo "${v//[-@.]/_}"; } # cn-hangzhou: CN_HANGZHOU

random_hex() { od -An -N"$1" -tx1 /dev/urandom | tr -d ' \n'; }

# Assignments of free ports, below the ephemeral ones. A stack binds its ports some time after it has chosen them, and lets go of
# them when it restarts something: so what was chosen is remembered, and no other stack of this tree chooses it soon.
choose_ports() { # choose_ports NAME…
    mkdir -p "$ROOT/build"
    python3 - "$ROOT/build/ports" "$@" <<'PYTHON'
import contextlib, fcntl, random, socket, sys, time

REMEMBERED_S = 3 * 3600
remembered, names, chosen = sys.argv[1], sys.argv[2:], {}
with open(remembered, "a+") as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    file.seek(0)
    rows = [line.split() for line in file if line.count(" ") == 1 and line.endswith("\n")]
    taken = {int(port): int(when) for port, when in rows if int(when) > time.time() - REMEMBERED_S}
    while len(chosen) < len(names):
        port = random.randrange(10000, 30000)
        with socket.socket() as candidate, contextlib.suppress(OSError):
            if port not in taken:
                candidate.bind(("127.0.0.1", port))
                chosen[names[len(chosen)]], taken[port] = port, int(time.time())
    file.truncate(0)
    file.writelines(f"{port} {when}\n" for port, when in taken.items())
for name, port in chosen.items():
    print(f"{name}={port}")
PYTHON
}

write_if_new() { # write_if_new FILE: standard input, at once or not at all; an equal file keeps its time
    cat > "$1.new"
    if cmp -s "$1.new" "$1"; then rm "$1.new"; else mv "$1.new" "$1"; fi
}

service_ports() {
    case $1 in
    redis) echo REDIS ;;
    kafka) echo KAFKA KAFKA_CONTROLLER ;;
    objects) echo S3 S3_GRPC FILER FILER_GRPC MASTER MASTER_GRPC VOLUME VOLUME_GRPC ;;
    esac
}

stack_choose() { # stack_choose [PORT…]: those anew
    local name missing=() regions=${TRAILBUS_REGIONS:-}
    umask 077 # keys and passwords lie in it
    mkdir -p "$RUN"/{log,data/redis,data/objects,data/history,secrets}
    # shellcheck source=/dev/null
    [[ -f $RUN/stack.env ]] && . "$RUN/stack.env"
    REGIONS=${regions:-${REGIONS:-$DEFAULT_REGIONS}}
    for name in "$@"; do unset "PORT_$name"; done
    for name in $(service_ports redis) $(service_ports kafka) $(service_ports objects) \
        $(for region in $REGIONS; do echo "API_$(variable "$region")"; done); do
        name=PORT_$name
        [[ -v $name ]] || missing+=("$name")
    done
    S3_SECRET=${S3_SECRET:-$(random_hex 20)}
    S3_WORKER_SECRET=${S3_WORKER_SECRET:-$(random_hex 20)}
    # shellcheck disable=SC1090
    ((${#missing[@]} == 0)) || . <(choose_ports "${missing[@]}")
    declare -p REGIONS S3_SECRET S3_WORKER_SECRET "${!PORT_@}" | sed 's/^declare -[^ ]* //' | write_if_new "$RUN/stack.env"
    DEFAULT_REGION=${REGIONS%% *}
}

stack_known() { # reads what was chosen; several callers may do so at once
    if [[ ! -f $RUN/stack.env || ! -f $RUN/trailbus.env ]]; then
        stack_choose
        stack_configure
    fi
    # shellcheck source=/dev/null
    . "$RUN/stack.env"
    DEFAULT_REGION=${REGIONS%% *}
}

# --- Configuration files ---------------------------------------------------------------------------------

joined() { # joined SEPARATOR WORD…
    local all
    printf -v all "$1%s" "${@:2}"
    echo "${all#"$1"}"
}

render() { # render TEMPLATE NAME=VALUE…: the template with each @NAME@ replaced
    local text pair
    text=$(< "$1")
    for pair in "${@:2}"; do text=${text//"@${pair%%=*}@"/"${pair#*=}"}; done
    echo "$text"
}

address() { local port=PORT_$1; echo "127.0.0.1:${!port}"; }
api_address() { address "API_$(variable "$1")"; }

stack_configure() {
    local region template listen=()
    for region in $REGIONS; do
        listen+=("{ region = \"$region\"; address = \"127.0.0.1\"; port = $(api_address "$region" | cut -d: -f2); }")
    done
    # shellcheck disable=SC2086
    local values=(RUN="$RUN" REDIS_PORT="$PORT_REDIS" REDIS="redis://$(address REDIS)/0" S3="http://$(address S3)"
        KAFKA="$(address KAFKA)" KAFKA_CONTROLLER="$(address KAFKA_CONTROLLER)"
        S3_SECRET="$S3_SECRET" S3_WORKER_SECRET="$S3_WORKER_SECRET"
        LOOKUPS_A_SECOND="${TRAILBUS_LOOKUPS_A_SECOND:-2}" WATCH_ACCOUNT="${TRAILBUS_WATCH_ACCOUNT-$WATCH_ACCOUNT}"
        REGIONS="$(joined '", "' $REGIONS)" LISTEN="$(joined $',\n               ' "${listen[@]}")")
    [[ -f $RUN/secrets/master.key ]] || random_hex 32 > "$RUN/secrets/master.key"
    for template in "$ROOT"/deploy/local/*.in; do
        render "$template" "${values[@]}" | write_if_new "$RUN/$(basename "$template" .in)"
    done
    stack_environment | write_if_new "$RUN/trailbus.env"
}

stack_environment() { # what run/trailbus.env says
    local region
    echo "TRAILBUS_REGIONS=\"$REGIONS\""
    echo "TRAILBUS_API=$(api_address "$DEFAULT_REGION")"
    for region in $REGIONS; do echo "TRAILBUS_API_$(variable "$region")=$(api_address "$region")"; done
    echo "TRAILBUS_KAFKA=$(address KAFKA)"
    echo "TRAILBUS_REDIS=redis://$(address REDIS)/0"
    echo "TRAILBUS_S3=http://$(address S3)"
    echo "TRAILBUS_S3_ACCESS_KEY_ID=local"
    echo "TRAILBUS_S3_SECRET_ACCESS_KEY=$S3_SECRET"
    echo "TRAILBUS_BUCKET=$BUCKET"
    echo "TRAILBUS_CONFIG=$RUN/trailbus.conf"
    [[ ! -s $RUN/account.json ]] || jq -r '"TRAILBUS_ACCOUNT_ID=\(.accountId)",
        "TRAILBUS_ACCESS_KEY_ID=\(.accessKeyId)", "TRAILBUS_ACCESS_KEY_SECRET=\(.accessKeySecret)"' "$RUN/account.json"
}

# --- Processes -------------------------------------------------------------------------------------------

# Reads a name as a person writes it (worker[@region][.instance]) into NAME, KIND, REGION, INSTANCE.
name_parse() {
    NAME=$1 INSTANCE=1
    [[ $NAME =~ ^(.*)\.([0-9]+)$ ]] && NAME=${BASH_REMATCH[1]} INSTANCE=${BASH_REMATCH[2]}
    KIND=${NAME%%@*} REGION=
    case " ${WORKERS[*]} " in *" $KIND "*)
        REGION=$DEFAULT_REGION
        [[ $NAME == *@* ]] && REGION=${NAME#*@}
        NAME=$KIND@$REGION
        ;;
    esac
    ((INSTANCE == 1)) || NAME=$NAME.$INSTANCE
}

# Sets COMMAND, and READY: "notify" or a function that succeeds once the process serves.
name_command() {
    local program=$BUILD/bin/trailbus-$KIND
    READY=notify
    case $KIND in
    kafka)
        READY=kafka_ready
        local java=(java -Xms256m -Xmx1g -Dlog4j2.configurationFile="$ROOT/deploy/local/kafka-log4j2.properties"
            -cp "$DEPS/kafka/*")
        [[ -f $RUN/data/kafka/meta.properties ]] || "${java[@]}" kafka.tools.StorageTool format \
            -t "$(random_hex 11)" -c "$RUN/kafka.properties" >> "$RUN/log/kafka.log" 2>&1
        COMMAND=("${java[@]}" kafka.Kafka "$RUN/kafka.properties")
        ;;
    redis)
        READY=redis_ready
        COMMAND=(redis-server "$RUN/redis.conf")
        ;;
    objects)
        READY=objects_ready
        COMMAND=("$DEPS/seaweedfs/bin/weed" server -ip=127.0.0.1 -ip.bind=127.0.0.1 -master.telemetry=false -master.electionTimeout=1s
            -dir="$RUN/data/objects" -volume.max=100 -master.volumeSizeLimitMB=256
            -master.port="$PORT_MASTER" -master.port.grpc="$PORT_MASTER_GRPC"
            -volume.port="$PORT_VOLUME" -volume.port.grpc="$PORT_VOLUME_GRPC"
            -filer.port="$PORT_FILER" -filer.port.grpc="$PORT_FILER_GRPC"
            -s3 -s3.port="$PORT_S3" -s3.port.grpc="$PORT_S3_GRPC" -s3.port.iceberg=0 -s3.port.lance=0
            -s3.config="$RUN/objects.json")
        ;;
    api | router | watch) COMMAND=("$program" --config "$RUN/trailbus.conf" --instance "$INSTANCE") ;;
    normalizer | delivery | history | insight)
        [[ " $REGIONS " == *" $REGION "* ]] || fail "$NAME: the regions of this stack are: $REGIONS"
        COMMAND=("$program" --config "$RUN/trailbus.conf" --region "$REGION" --instance "$INSTANCE")
        ;;
    *) fail "$NAME: no such process; there are: ${SERVICES[*]} api router watch, and of each region: ${WORKERS[*]}" ;;
    esac
}

kafka_ready() { kcat -b "$(address KAFKA)" -L -m 1; }
redis_ready() { [[ $(redis-cli -p "$PORT_REDIS" ping) == PONG ]]; }
objects_ready() { s3_request GET /; }

s3_request() { # s3_request METHOD PATH [CURL OPTIONS]: the answer's body; fails on an error status
    curl -sSf --max-time 10 --aws-sigv4 aws:amz:us-east-1:s3 --user "local:$S3_SECRET" -X "$1" \
        "http://$(address S3)$2" "${@:3}"
}

# The pid of a process that we started and that still runs. The environment is compared, since a pid may have
# gone to somebody else. No pipe: who writes into it would be killed, and this fail, when the reader has seen enough.
name_pid() { # name_pid NAME
    local pid
    pid=$(cat "$RUN/$1.pid" 2> /dev/null) || return 1
    grep -qzxF "TRAILBUS_PROCESS=$RUN/$1" "/proc/$pid/environ" 2> /dev/null && echo "$pid"
}

name_start() {
    name_parse "$1"
    local pid since moves=0
    if pid=$(name_pid "$NAME"); then echo "$NAME runs already, pid $pid" && return; fi
    name_command
    [[ -x $(command -v "${COMMAND[0]}") ]] || fail "$NAME: ${COMMAND[0]} is not there; scripts/up installs and builds"
    since=$(now_ms)
    until launched; do
        if ((moves++ == MOVES)) || ! service_moved; then start_failed; fi
        name_command
    done
    echo "$NAME is ready after $(($(now_ms) - since)) ms, pid $(name_pid "$NAME")"
}

launched() {
    local until=$(($(now_ms) + START_S * 1000)) pid
    LOG_FROM=$(stat -c %s "$RUN/log/$NAME.log" 2> /dev/null || echo 0)
    TRAILBUS_PROCESS=$RUN/$NAME "$ROOT/scripts/lib/launch.py" "$RUN/$NAME.pid" "$RUN/log/$NAME.log" $START_S \
        "$([[ $READY == notify ]] && echo notify || echo start)" -- "${COMMAND[@]}" || return
    [[ $READY != notify ]] || return 0
    while pid=$(name_pid "$NAME") || return; do
        if listens "$pid" && "$READY" > /dev/null 2>&1; then break; fi
        (($(now_ms) < until)) || return
        sleep 0.1
    done
    touch "$RUN/$NAME.served"
}

# Whether the service itself listens on all of its ports: else somebody else may answer there.
listens() { # listens PID
    local name port sockets
    sockets=$(find "/proc/$1/fd" -lname 'socket:*' -printf '%l ' 2> /dev/null)
    for name in $(service_ports "$KIND"); do
        port=PORT_$name
        awk -v "port=$(printf ':%04X$' "${!port}")" -v "sockets=$sockets" '$4 == "0A" && $2 ~ port && index(sockets, "[" $10 "]") { found = 1 }
            END { exit !found }' /proc/net/tcp /proc/net/tcp6 2> /dev/null || return
    done
}

# Somebody took a port between its choice and us: others are chosen, unless it has served before, since who knows it looks for it there.
service_moved() {
    local ports
    ports=$(service_ports "$KIND")
    [[ -n $ports && ! -e $RUN/$NAME.served && $(log_since) == *"ddress already in use"* ]] || return
    name_kill "$NAME" > /dev/null
    echo "$NAME: a port of it is somebody else's, it gets others"
    # shellcheck disable=SC2086
    (flock 9 && stack_choose $ports && stack_configure) 9> "$RUN/moving" || return
    # shellcheck source=/dev/null
    . "$RUN/stack.env"
}

log_since() { tail -c "+$((LOG_FROM + 1))" "$RUN/log/$NAME.log"; }

start_failed() {
    log_since | tail -n 15 >&2
    fail "$NAME did not start; its log: $RUN/log/$NAME.log"
}

now_ms() { local t=${EPOCHREALTIME/[.,]/}; echo $((t / 1000)); }

gone() { # gone NAME SECONDS: whether it ended within this time
    local until=$(($(now_ms) + $2 * 1000))
    while name_pid "$1" > /dev/null; do
        (($(now_ms) < until)) || return 1
        sleep 0.05
    done
    rm -f "$RUN/$1.pid"
}

name_stop() {
    name_parse "$1"
    local pid since
    pid=$(name_pid "$NAME") || { echo "$NAME does not run" && return; }
    since=$(now_ms)
    kill -TERM "$pid"
    # SeaweedFS often ignores SIGTERM.
    if [[ $KIND == objects ]] && ! gone "$NAME" 3; then kill -KILL "$pid"; fi
    gone "$NAME" $DRAIN_S || fail "$NAME did not end within $DRAIN_S s; its log: $RUN/log/$NAME.log"
    echo "$NAME ended after $(($(now_ms) - since)) ms"
}

name_kill() {
    name_parse "$1"
    local pid
    pid=$(name_pid "$NAME") || { echo "$NAME does not run" && return; }
    kill -KILL "$pid"
    gone "$NAME" 10
    echo "$NAME was killed"
}

name_status() {
    name_parse "$1"
    local pid
    if pid=$(name_pid "$NAME"); then
        printf '%-28s runs, pid %s, since %s\n' "$NAME" "$pid" "$(ps -o lstart= -p "$pid")"
    else
        printf '%-28s does not run\n' "$NAME"
        return 1
    fi
}

# --- All of it -------------------------------------------------------------------------------------------

expected_workers() { # those whose program was built
    local region worker
    for worker in normalizer router insight delivery history api watch; do
        [[ -x $BUILD/bin/trailbus-$worker ]] || continue
        case " ${WORKERS[*]} " in
        *" $worker "*) for region in $REGIONS; do echo "$worker@$region"; done ;;
        *) echo "$worker" ;;
        esac
    done
}

running() { # names of what runs
    local file name
    for file in "$RUN"/*.pid; do
        name=$(basename "$file" .pid)
        if name_pid "$name" > /dev/null; then echo "$name"; fi
    done
}

each() { # each FUNCTION NAME…: side by side; fails if one of them does
    local name pid pids=() failed=0
    for name in "${@:2}"; do
        "$1" "$name" &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
    return $failed
}

start_services() { each name_start "${SERVICES[@]}"; } # they may have moved then: stack_known

trailctl() { (set -a && . "$RUN/trailbus.env" && "$BUILD/bin/trailctl" "$@"); }

provision() { # topics, the bucket, the account
    trailctl topics apply
    s3_request GET "/$BUCKET?list-type=2&max-keys=1" > /dev/null 2>&1 || s3_request PUT "/$BUCKET"
    [[ -s $RUN/account.json ]] && return
    trailctl account create --json > "$RUN/account.json.new"
    mv "$RUN/account.json.new" "$RUN/account.json"
    stack_environment | write_if_new "$RUN/trailbus.env"
}

provision_watch() { # the account of the canaries, and a trail that delivers them
    [[ -n ${TRAILBUS_WATCH_ACCOUNT-$WATCH_ACCOUNT} ]] || return 0
    if [[ ! -s $RUN/watch.json ]]; then
        trailctl account create --id "$WATCH_ACCOUNT" --name watch --json > "$RUN/watch.json.new"
        mv "$RUN/watch.json.new" "$RUN/watch.json"
    fi
    as_watch trail list | grep -w canaries || as_watch trail create canaries --bucket "$BUCKET" --prefix canaries
    as_watch trail start canaries
}

as_watch() { # trailctl as the account of the canaries
    local account key secret
    IFS=$'\t' read -r account key secret < <(jq -r '[.accountId, .accessKeyId, .accessKeySecret] | @tsv' "$RUN/watch.json")
    (set -a && . "$RUN/trailbus.env" && TRAILBUS_ACCOUNT_ID=$account TRAILBUS_ACCESS_KEY_ID=$key \
        TRAILBUS_ACCESS_KEY_SECRET=$secret "$BUILD/bin/trailctl" "$@")
}

outdated() { # of a running worker: its program was built anew, or the configuration is another
    local pid
    pid=$(name_pid "$1") || return 1
    [[ $(readlink "/proc/$pid/exe") == *' (deleted)' || $RUN/trailbus.conf -nt $RUN/$1.pid ]]
}

worker_start() {
    if outdated "$1"; then name_stop "$1"; fi
    name_start "$1"
}

start_workers() {
    local names
    mapfile -t names < <(expected_workers)
    each worker_start "${names[@]}"
}

stop_all() { # first those that hold records in flight
    local names services
    mapfile -t names < <(running | grep -vxE "$(joined '|' "${SERVICES[@]}")")
    each name_stop "${names[@]}"
    mapfile -t services < <(running)
    each name_stop "${services[@]}"
}
