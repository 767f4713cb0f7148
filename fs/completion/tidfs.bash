# shellcheck shell=bash
# Completion of tidfs for bash. What can follow is asked of tidfs itself (`tidfs --complete WORDS...`), so that it is always
# that of the tidfs which is run; only paths are bash's part.

# _tidfs_words: puts the words of the command line up to the cursor into the array `words`. Bash has cut them at = and : and the
# like, which a time or an option with its value is full of; what no white space parts belongs together.
_tidfs_words() {
    local rest=${COMP_LINE:0:COMP_POINT} word stripped i
    words=()
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        stripped=${rest#"${rest%%[![:space:]]*}"}
        [ "$i" != "$COMP_CWORD" ] || word=$stripped
        if [ "$stripped" = "$rest" ] && [ "$i" != 0 ]; then
            words[-1]+=$word
        else
            words+=("$word")
        fi
        rest=${stripped#"$word"}
    done
}

_tidfs() {
    local words typed breaks cut='' reply kept before path
    _tidfs_words
    typed=${words[-1]}
    # What bash will replace is what follows the last of its own cuts in the word.
    breaks=${COMP_WORDBREAKS//[!=:@]/}
    [ -z "$breaks" ] || cut=${typed%"${typed##*["$breaks"]}"}
    COMPREPLY=()
    while IFS= read -r reply; do
        case $reply in
        :files* | :directories*)
            before=${reply#* }
            compopt -o filenames
            kept=${before#"$cut"}
            [ "$kept" != "$before" ] || [ -z "$cut" ] || kept=''
            while IFS= read -r path; do
                COMPREPLY+=("$kept$path")
            done < <(if [[ $reply = :d* ]]; then compgen -d -- "${typed#"$before"}"; else compgen -f -- "${typed#"$before"}"; fi)
            ;;
        *)
            reply=${reply%%$'\t'*}
            [[ $reply != *= ]] || compopt -o nospace
            COMPREPLY+=("${reply#"$cut"}")
            ;;
        esac
    done < <("${words[0]}" --complete "${words[@]:1}" 2>/dev/null)
}

complete -F _tidfs tidfs
