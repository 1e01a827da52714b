# shellcheck shell=bash
# The demo of scripts/up: publishes six events, then finds them by query and in the bucket of a trail. The last one
# is of a global service: queries in all regions show it, and it is delivered in the trail's home region only.
# Sourced there: uses its steps and its stack.

DEMO=$RUN/demo
DEMO_TRAIL=demo-trail
DEMO_PREFIX=demo-prefix
DEMO_WAIT_S=60

demo_publish() {
    # shellcheck source=/dev/null
    . "$RUN/trailbus.env"
    mkdir -p "$DEMO"
    trailctl trail list | grep -w "$DEMO_TRAIL" ||
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

demo_global() { tail -n 1 "$DEMO/ids"; } # the id of the global event

demo_query() { # all of them in the default region, and the global one, once, in each
    local region
    trailctl lookup --attribute User=alice --limit 50 --json > "$DEMO/found" || return
    for region in $REGIONS; do
        trailctl lookup --region "$region" --attribute "EventId=$(demo_global)" --json > "$DEMO/found@$region" || return
        [[ $(jq -r .eventId "$DEMO/found@$region") == "$(demo_global)" ]] || return
    done
}

demo_list() { # demo_list REGION: the keys of the trail's objects in that region's directory, oldest first
    s3_request GET "/$BUCKET?list-type=2&prefix=$DEMO_PREFIX%2FAliyunLogs%2FActiontrail%2F$1%2F" | grep -o '<Key>[^<]*' |
        sed 's/<Key>//' | sort
}

demo_fetch() { # the newest objects: each is a gzip of one JSON array
    local region key
    : > "$DEMO/found"
    for region in $REGIONS; do
        for key in $(demo_list "$region" | tail -n 20); do
            s3_request GET "/$BUCKET/$key" | gzip -dc |
                jq -c --arg key "$key" --arg region "$region" '.[] | . + {key: $key, directory: $region}' >> "$DEMO/found"
        done
    done
}

demo_field() { jq -r --arg id "$(demo_global)" --arg field "$1" 'select(.eventId == $id)[$field]' "$DEMO/found"; }

demo_found_by_query() { demo_wait demo_query; }
demo_found_in_bucket() {
    demo_wait demo_fetch || return
    [[ $(demo_field directory) == "$DEFAULT_REGION" ]] || {
        echo "the global event was delivered in: $(demo_field directory)"
        return 1
    }
}

demo_table() { # demo_table FILE: the demo's events that it holds
    jq -r --slurpfile ids <(jq -R . "$DEMO/ids") 'select(.eventId as $id | $ids | index($id)) |
        [.eventTime, .serviceName, .eventName, .eventRW, .userIdentity.userName, .sourceIpAddress, .errorCode //
            if .isGlobal then "global" else "" end] | "  " + @tsv' "$1" | sort | expand -t 24,30,50,57,65,80
}

step "Demo: start a trail, publish six events" \
    "read run/log/api.log; 'scripts/local status' shows what runs" demo_publish
step "Demo: find them by query" \
    "read run/log/{normalizer,history}@$DEFAULT_REGION.log and run/log/router.log" demo_found_by_query
printf '\ntrailctl lookup says:\n\n' && demo_table "$DEMO/found" && echo
for region in $REGIONS; do
    [[ $region == "$DEFAULT_REGION" ]] && continue
    printf 'trailctl lookup --region %s says of the global one:\n\n' "$region" && demo_table "$DEMO/found@$region" && echo
done
step "Demo: find them in the bucket" \
    "read run/log/delivery@$DEFAULT_REGION.log" demo_found_in_bucket
printf '\nand s3://%s/%s:\n\n' "$BUCKET" "$DEMO_PREFIX" && demo_table "$DEMO/found"
printf '\nthe global one in the directory of its home region only:\n\n  s3://%s/%s\n' "$BUCKET" "$(demo_field key)"
