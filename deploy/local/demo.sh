# shellcheck shell=bash
# The demo of scripts/up: publishes five events, then finds them by query and in the bucket of a trail.
# Sourced there: uses its steps and its stack.

DEMO=$RUN/demo
DEMO_TRAIL=demo-trail
DEMO_PREFIX=demo-prefix
DEMO_WAIT_S=60

demo_publish() {
    # shellcheck source=/dev/null
    . "$RUN/trailbus.env"
    mkdir -p "$DEMO"
    trailctl trail list | grep -qw "$DEMO_TRAIL" ||
        trailctl trail create "$DEMO_TRAIL" --bucket "$BUCKET" --prefix "$DEMO_PREFIX"
    trailctl trail start "$DEMO_TRAIL"
    jq -nc --arg id "demo-$(date +%s)" --arg account "$TRAILBUS_ACCOUNT_ID" --arg region "$DEFAULT_REGION" \
        -f "$ROOT/deploy/local/demo-events.jq" > "$DEMO/events.json"
    jq -r .eventId "$DEMO/events.json" | sort > "$DEMO/ids"
    trailctl emit "$DEMO/events.json"
}

demo_wait() { # demo_wait FIND: calls it until it wrote all of the events to $DEMO/found
    local until=$((SECONDS + DEMO_WAIT_S)) wanted found=0
    wanted=$(wc -l < "$DEMO/ids")
    while ((found < wanted)); do
        ((SECONDS < until)) || { echo "only $found of $wanted came within $DEMO_WAIT_S s" && return 1; }
        if "$1"; then found=$(jq -r .eventId "$DEMO/found" | sort -u | comm -12 - "$DEMO/ids" | wc -l); fi
        echo "$found of $wanted"
        sleep 0.2
    done
}

demo_query() { trailctl lookup --limit 50 --json > "$DEMO/found"; }

demo_list() { # the keys of the trail's objects, oldest first
    s3_request GET "/$BUCKET?list-type=2&prefix=$DEMO_PREFIX%2FAliyunLogs%2FActiontrail%2F" | grep -o '<Key>[^<]*' | sed 's/<Key>//' | sort
}

demo_fetch() { # the newest objects: each is a gzip of one JSON array
    local key
    : > "$DEMO/found"
    for key in $(demo_list | tail -n 20); do
        s3_request GET "/$BUCKET/$key" | gzip -dc | jq -c --arg key "$key" '.[] | . + {key: $key}' >> "$DEMO/found"
    done
}

demo_found_by_query() { demo_wait demo_query; }
demo_found_in_bucket() { demo_wait demo_fetch; }

demo_table() { # the demo's events of $DEMO/found
    jq -r --slurpfile ids <(jq -R . "$DEMO/ids") 'select(.eventId as $id | $ids | index($id)) |
        [.eventTime, .serviceName, .eventName, .eventRW, .userIdentity.userName, .sourceIpAddress, .errorCode // ""] |
        "  " + @tsv' "$DEMO/found" | sort | expand -t 24,30,50,57,65,80
}

step "Demo: start a trail, publish five events" \
    "read run/log/api.log; 'scripts/local status' shows what runs" demo_publish
step "Demo: find them by query" \
    "read run/log/normalizer@$DEFAULT_REGION.log and run/log/history@$DEFAULT_REGION.log" demo_found_by_query
printf '\ntrailctl lookup says:\n\n' && demo_table && echo
step "Demo: find them in the bucket" \
    "read run/log/delivery@$DEFAULT_REGION.log" demo_found_in_bucket
printf '\nand s3://%s/%s:\n\n' "$BUCKET" "$(jq -r --arg id "$(tail -n 1 "$DEMO/ids")" \
    'select(.eventId == $id) | .key' "$DEMO/found" | head -n 1)" && demo_table
