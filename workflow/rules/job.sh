# Sourced before the command of every job (bash). Explains the two failures that the command itself cannot report: it was
# killed, or the disk that holds its log is full. The message goes to the screen and, if possible, to the end of the log.
# WORKFLOW: path of the folder workflow/ as seen from the job.
WORKFLOW=${BASH_SOURCE[0]%/rules/job.sh}
explain_failure() {
    local status=$? log message= free
    [ "$status" != 0 ] || return 0
    # every command ends in: > LOG 2>&1
    log=${BASH_EXECUTION_STRING-}
    log=${log##*> } log=${log%% *}
    [ -f "$log" ] || log=/dev/null
    free=$(df -Pk . 2>/dev/null | awk 'NR == 2 { print $4 " KB free on the disk mounted at " $6 }') || free=
    if [ "$status" = 137 ]; then
        message="the job was killed (signal 9), as the system does when memory runs out. Run fewer jobs in parallel
  (--cores 1) or put fewer networks into a job (shard_size in the config), then run the same command again: it continues
  from the finished results."
    elif [ -n "$free" ] && [ "${free%% *}" -lt 1024 ] && ! grep -q "^error: .* is full" "$log"; then
        message="the job failed and its log, $log, may be incomplete: the disk is full ($free). Free some space on it, then
  run the same command again; finished results are kept."
    fi
    if [ -n "$message" ]; then
        echo "error: $message" >&2
        { echo "error: $message" >>"$log"; } 2>/dev/null || true
    fi
}
trap explain_failure EXIT

# Run programs as forks of a process with the libraries loaded (preload.py).
python() {
    case "${1-}" in
        *.py) command python -IS "$WORKFLOW/rules/preloaded.py" "$@" ;;
        *) command python "$@" ;;
    esac
}
