# Background processes of a script, none of which outlives it. To be sourced. The script calls stop_processes in its EXIT
# trap, and traps the signals that end it.

# An entry in the environment of all that descends from these processes. It finds the node also when `ros2 launch`, which
# started it, has died.
processes_mark="FACE_ATTRIBUTES_PROCESSES=$(</proc/sys/kernel/random/uuid)"

# By name: process ids, and the signal that makes the process end by itself.
declare -A processes=() stop_signals=()

# How long processes may take to end. `ros2 launch` gives its own children 5 s, and 5 s more after SIGTERM.
stop_grace_secs=12

# start NAME SIGNAL COMMAND [ARGUMENT...]: starts a process in a session of its own, where no signal of the terminal
# reaches it. SIGNAL makes it end by itself.
start() {
    local name="$1" signal="$2"
    shift 2
    stop_signals[$name]="$signal"
    # It gets the signal also when this script is killed. A shell starts background processes with SIGINT ignored.
    setsid setpriv --pdeathsig "$signal" env --default-signal=INT,QUIT "$processes_mark" "$@" &
    processes[$name]=$!
}

# run COMMAND [ARGUMENT...]: runs a command in the terminal's foreground and waits. Unlike without `run`, a trap of this
# script does not have to wait for the command's end.
run() {
    env --default-signal=INT,QUIT "$processes_mark" "$@" <&0 &
    wait $!
}

# with_mark FILE...: the ids of the processes among /proc/<id>/environ that carry the mark.
with_mark() {
    { grep --files-with-matches --null-data --line-regexp --fixed-strings -- "$processes_mark" "$@" |
        cut --delimiter=/ --fields=3; } 2>/dev/null || true
}

marked_processes() { with_mark /proc/[0-9]*/environ; }

# Those that `start` started.
running_processes() { [[ ${#processes[@]} -eq 0 ]] || jobs -rp; }

# Those that are still copies of this shell, in which SIGINT is ignored.
starting_processes() {
    local id
    for id in $(running_processes); do
        [[ -n "$(with_mark "/proc/$id/environ")" ]] || echo "$id"
    done
}

# wait_for_none LIST: false when the function LIST still lists processes after the grace.
wait_for_none() {
    local deadline=$((SECONDS + stop_grace_secs))
    while [[ -n "$("$1")" ]]; do
        ((SECONDS < deadline)) || return 1
        sleep 0.1
    done
}

stop_processes() {
    trap '' HUP INT TERM
    wait_for_none starting_processes || true
    local name signal id ids
    for name in "${!processes[@]}"; do
        # The mark tells it from a later process with the same id.
        for id in $(with_mark "/proc/${processes[$name]}/environ"); do
            kill "-${stop_signals[$name]}" "$id" 2>/dev/null || true
        done
    done
    wait_for_none running_processes || true
    # What is left has lost its parent or ignores that signal.
    for signal in TERM KILL; do
        mapfile -t ids < <(marked_processes)
        [[ ${#ids[@]} -eq 0 ]] || kill "-$signal" "${ids[@]}" 2>/dev/null || true
        ! wait_for_none marked_processes || return 0
    done
    echo "still running: $(marked_processes | xargs)" >&2
}
