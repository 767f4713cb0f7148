# Completion of tidfs for fish. What can follow is asked of tidfs itself (`tidfs --complete WORDS...`), so that it is always
# that of the tidfs which is run; only paths are fish's part.

function __tidfs_complete
    set -l words (commandline -opc)
    set -l typed (commandline -ct)
    set -l program $words[1]
    set -e words[1]
    for reply in (command $program --complete $words "$typed" 2>/dev/null)
        switch $reply
            case ':files*' ':directories*'
                set -l before (string replace -r '^:[a-z]+ ' '' -- $reply)
                set -l rest (string sub -s (math (string length -- "$before") + 1) -- "$typed")
                if string match -q ':directories*' -- $reply
                    printf '%s\n' "$before"(__fish_complete_directories $rest)
                else
                    printf '%s\n' "$before"(__fish_complete_path $rest)
                end
            case '*'
                echo $reply
        end
    end
end

complete -c tidfs -f -a '(__tidfs_complete)'
